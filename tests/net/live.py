"""The simulator's lines A and B through a backend to equal books: its device takes frames off one end of a veth
pair in a network namespace of the test's own, the simulator sends from the other."""
import ctypes
import json
import os
import subprocess

CLONE_NEWNET = 0x40000000
A, B = "239.1.1.1:26477", "239.1.1.2:26478"


def enter():
    """Has rx0 and tx0. False where that may not be."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        print("skipped: making a network namespace needs root")
        return False
    for command in ("link add rx0 type veth peer name tx0", "link set rx0 up", "address add 10.77.0.1/24 dev tx0",
                    "link set tx0 up multicast on", "link set lo up"):
        subprocess.run(["ip", *command.split()], check=True)
    return True


def run(mdfh, folder, out, backend, kind, options, source):
    """kind is for messages, source whose clock is to stamp every packet."""
    handler = subprocess.Popen(
        [mdfh, "--modules", folder, "run", "--backend", backend, "--interface", "rx0", "--protocol", "itch50",
         "--group", A, "--group", B, "--json", "--status", "--seconds", "60", "--books-out", f"{out}/handler.tsv",
         "--window", "2000000",  # each line has a queue of its own, and a busy machine runs them when it likes
         *(["--backend-options", options] if options else [])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    status = next((line for line in handler.stderr if "packets" in line), "")  # the first one: it receives
    assert " 0 packets" in status, (kind, status, handler.communicate(timeout=90))
    # Fewer packets than a ring holds: nothing is lost, however long a busy machine lets the handler stand.
    sim = subprocess.run(
        [mdfh, "sim", "--interface", "tx0", "--transmit", "--group", A, "--group-b", B, "--rate", "50000",
         "--messages", "50000", "--flush-us", "1000", "--symbols", "500", "--seed", "7", "--drop-a", "20000ppm",
         "--linger", "0.5",
         "--json", "--books-out", f"{out}/exchange.tsv"], capture_output=True, text=True, timeout=120, check=True)
    output, complaint = handler.communicate(timeout=90)
    assert handler.returncode == 0, (kind, handler.returncode, output, complaint)
    summary = json.loads(output)
    lines = summary["channels"][0]["lines"]
    assert summary["lost"] == 0, (kind, summary)
    assert summary["messages"] == json.loads(sim.stdout)["messages"], (kind, summary)
    assert lines[0]["missing"] > 0 and lines[1]["delivered"] > 0, (kind, lines)
    for line in lines:
        assert line["times"][source] == line["packets"], (kind, line)
    books = subprocess.run([mdfh, "compare", f"{out}/exchange.tsv", f"{out}/handler.tsv"], capture_output=True,
                           text=True)
    last = books.stdout.strip().splitlines()[-1]
    assert books.returncode == 0 and last.endswith(" symbols, 0 differences"), (kind, books.stdout)
    print(f"{kind} {options}: {summary['messages']} messages, {last}")
