#!/usr/bin/env python3
"""The simulator's lines A and B through backend ef_vi to equal books: its software device takes frames off
one end of a veth pair in a network namespace of the test's own, the simulator sends from the other.

usage: test_ef_vi_live.py MDFH FOLDER

FOLDER has the module that is compiled for the device, and the device. As root."""
import ctypes
import json
import os
import subprocess
import sys
import tempfile

CLONE_NEWNET = 0x40000000
A, B = "239.1.1.1:26477", "239.1.1.2:26478"
# What kind of NIC, and how it is asked.
KINDS = [("wired", ""), ("wired", "event_merge=on"), ("wired,efct", ""), ("wired,no_stamps", "")]


def backends(mdfh, folder, **environment):
    listed = subprocess.run([mdfh, "--modules", folder, "backends", "--json"], capture_output=True, text=True,
                            check=True, timeout=60, env={**os.environ, **environment}).stdout
    return next(b for b in json.loads(listed) if b["name"] == "ef_vi")


def run(mdfh, folder, out, kind, options):
    os.environ["EF_VI_DEVICE"] = kind
    handler = subprocess.Popen(
        [mdfh, "--modules", folder, "run", "--backend", "ef_vi", "--interface", "rx0", "--protocol", "itch50",
         "--group", A, "--group", B, "--json", "--status", "--seconds", "60", "--books-out", f"{out}/handler.tsv",
         *(["--backend-options", options] if options else [])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    status = handler.stderr.readline()  # the first status line: it receives
    assert " 0 packets" in status, (kind, status, handler.communicate(timeout=90))
    sim = subprocess.run(
        [mdfh, "sim", "--interface", "tx0", "--transmit", "--group", A, "--group-b", B, "--rate", "50000",
         "--messages", "100000", "--symbols", "500", "--seed", "7", "--drop-a", "20000ppm", "--linger", "0.5",
         "--json", "--books-out", f"{out}/exchange.tsv"], capture_output=True, text=True, timeout=120, check=True)
    output, complaint = handler.communicate(timeout=90)
    assert handler.returncode == 0, (kind, handler.returncode, output, complaint)
    summary = json.loads(output)
    lines = summary["channels"][0]["lines"]
    assert summary["lost"] == 0, (kind, summary)
    assert summary["messages"] == json.loads(sim.stdout)["messages"], (kind, summary)
    assert lines[0]["missing"] > 0 and lines[1]["delivered"] > 0, (kind, lines)
    for line in lines:
        source = "app" if "no_stamps" in kind else "nic"
        assert line["times"][source] == line["packets"], (kind, line)
    books = subprocess.run([mdfh, "compare", f"{out}/exchange.tsv", f"{out}/handler.tsv"], capture_output=True,
                           text=True)
    last = books.stdout.strip().splitlines()[-1]
    assert books.returncode == 0 and last.endswith(" symbols, 0 differences"), (kind, books.stdout)
    print(f"{kind} {options}: {summary['messages']} messages, {last}")


def without_module(mdfh):
    """A build without Onload's headers says so, and what to do."""
    with tempfile.TemporaryDirectory() as empty:
        state = backends(mdfh, empty)
        assert not state["available"] and "meson option ef_vi_headers" in state["reason"], state
        asked = subprocess.run([mdfh, "--modules", empty, "run", "--backend", "ef_vi", "--interface", "lo", "--group",
                                A], capture_output=True, text=True, timeout=60)
        assert asked.returncode == 2 and "meson option ef_vi_headers" in asked.stderr, asked


def main(mdfh, folder):
    without_module(mdfh)
    # The library is found by the linker, or it is not.
    state = backends(mdfh, folder, LD_LIBRARY_PATH=folder)
    assert state["available"] and not state["reason"], state
    state = backends(mdfh, folder, LD_LIBRARY_PATH="")
    assert not state["available"] and "Onload software device 1" in state["reason"], state

    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        print("skipped: making a network namespace needs root")
        return 77
    for command in ("link add rx0 type veth peer name tx0", "link set rx0 up", "address add 10.77.0.1/24 dev tx0",
                    "link set tx0 up multicast on", "link set lo up"):
        subprocess.run(["ip", *command.split()], check=True)
    os.environ["LD_LIBRARY_PATH"] = folder
    with tempfile.TemporaryDirectory() as out:
        for kind, options in KINDS:
            run(mdfh, folder, out, kind, options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
