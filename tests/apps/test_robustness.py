#!/usr/bin/env python3
"""Every command against what goes wrong around it: each time a sentence that names the thing, the value and
what to do, and the right exit status.

usage: test_robustness.py MDFH

  output    standard output full, closed by its reader, closed from the start; --help as well
  devices   books into a pipe, which stays one
  disk      each file that a command writes on a disk that is full: nothing half-written stays behind
  access    files that may not be read, folders that may not be written, as a user without privilege
  network   a port in use, an interface that is not there, one that goes down; no hugepages
  losses    told while it runs, with the line and the cause
  interrupt SIGINT: a line, and an end

Runs in network and mount namespaces of its own (as root, or with a user namespace)."""
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

MDFH = os.path.abspath(sys.argv[1])
GROUP = "239.1.1.1:26477"
NOBODY = 65534
# Each command with enough to print. {d} is a folder with day.itch, day.pcapng and books.tsv.
COMMANDS = {
    "backends": ["backends"],
    "backends --json": ["backends", "--json"],
    "bench": ["bench", "decode", "{d}/day.itch"],
    "book": ["book", "{d}/day.itch"],
    "compare": ["compare", "{d}/books.tsv", "{d}/other.tsv"],
    "conformance": ["conformance", "null"],
    "conformance --json": ["conformance", "--json", "null"],
    "dump": ["dump", "{d}/day.pcapng"],
    "dump --json": ["dump", "--json", "{d}/day.itch"],
    "replay": ["replay", "--speed", "0", "{d}/day.pcapng"],
    "run": ["run", "--file", "{d}/day.pcapng"],
    "run --json": ["run", "--json", "--file", "{d}/day.pcapng"],
    "run --print": ["run", "--print", "--file", "{d}/day.pcapng"],
    "run --check": ["run", "--check", "--file", "{d}/day.pcapng"],
    "sim": ["sim", "--messages", "2000", "--rate", "20000", "--linger", "0"],
    "sim --out": ["sim", "--messages", "2000", "--out", "{d}/again.itch"],
    "sim --json": ["sim", "--json", "--messages", "2000", "--out", "{d}/again.pcapng"],
    "--help": ["--help"],
    "--version": ["--version"],
    **{f"{name} --help": [name, "--help"] for name in
       ("backends", "bench", "book", "compare", "conformance", "dump", "replay", "run", "sim")},
}


def enter_namespaces():
    if os.environ.get("MDFH_TEST_INSIDE"):
        subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
        subprocess.run(["ip", "route", "add", "239.0.0.0/8", "dev", "lo"], check=True)
        return
    unshare = ["unshare", "--net", "--mount"]
    if os.geteuid() != 0:
        unshare += ["-U", "-r"]
    if subprocess.run(unshare + ["true"], capture_output=True).returncode != 0:
        print("no network and mount namespace can be made here (unshare is refused)")
        sys.exit(77)
    os.environ["MDFH_TEST_INSIDE"] = "1"
    os.execvp(unshare[0], unshare + [sys.executable] + sys.argv)


failed = 0


def check(what, ok, detail=""):
    global failed
    if not ok:
        failed += 1
        print(f"FAILED: {what}\n  {detail}")


def words(name, folder):
    return [MDFH] + [word.format(d=folder) for word in COMMANDS[name]]


def run(arguments, **options):
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(arguments, stderr=subprocess.PIPE, text=True, timeout=120, **options)


def expect(what, done, status, *parts):
    """A sentence of the program's own, with these parts in it."""
    text = done.stderr
    check(what, done.returncode == status and all(part in text for part in parts)
          and re.search(r"^mdfh\b.*: ", text, re.M), f"status {done.returncode}, not {status}, or not {parts}: {text!r}")


def make_files(folder):
    for out in ("day.itch", "day.pcapng"):
        done = run([MDFH, "sim", "--messages", "20000", "--symbols", "50", "--out", f"{folder}/{out}",
                    "--books-out", f"{folder}/books.tsv"])
        assert done.returncode == 0, done
    lines = open(f"{folder}/books.tsv").read().splitlines(True)
    open(f"{folder}/other.tsv", "w").writelines(lines[1:])
    os.chmod(folder, 0o755)


# output -------------------------------------------------------------------------------------------


def output(folder):
    for name in COMMANDS:
        arguments = words(name, folder)
        usual = run(arguments).returncode
        with open("/dev/full", "w") as full:
            done = run(arguments, stdout=full)
        expect(f"{name} > /dev/full", done, 2, "standard output", "No space left")

        # A pipe whose reader has gone: before the start, and after the first line.
        reader, writer = os.pipe()
        os.close(reader)
        done = run(arguments, stdout=writer)
        os.close(writer)
        check(f"{name} | true", done.returncode in (0, usual) and "tandard output" not in done.stderr
              and "roken pipe" not in done.stderr, (done.returncode, usual, done.stderr))
        done = run(["bash", "-c", '"$@" | head -n 1; exit ${PIPESTATUS[0]}', "bash", *arguments])
        check(f"{name} | head -1", done.returncode in (0, usual) and len(done.stdout.splitlines()) == 1
              and "tandard output" not in done.stderr, (done.returncode, done.stdout[:200], done.stderr))

        done = run(["bash", "-c", '"$@" >&-', "bash", *arguments])
        expect(f"{name} >&-", done, 2, "standard output", "Bad file descriptor")


def devices(folder):
    """What is no file stays what it is: root who writes to /dev/null keeps it."""
    pipe = f"{folder}/pipe"
    os.mkfifo(pipe)
    os.chmod(pipe, 0o666)
    for arguments in (["book", f"{folder}/day.itch"], ["run", "--quiet", "--wait", "--file", f"{folder}/day.pcapng"],
                      ["sim", "--messages", "20000", "--symbols", "50", "--out", f"{folder}/again.itch"]):
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
            done = run([MDFH, *arguments, "--books-out", pipe])
            if not stat.S_ISFIFO(os.stat(pipe).st_mode):
                reader.kill()
            books = reader.communicate(timeout=60)[0]
        check(f"{arguments[0]} --books-out into a pipe", done.returncode == 0 and stat.S_ISFIFO(os.stat(pipe).st_mode)
              and books == open(f"{folder}/books.tsv").read(), done)


# disk ---------------------------------------------------------------------------------------------

WRITERS = {  # what is written, and the status
    "sim --out .itch": (["sim", "--messages", "100000", "--out", "{t}/x.itch"], "x.itch"),
    "sim --out .pcap": (["sim", "--messages", "100000", "--out", "{t}/x.pcap"], "x.p"),
    "sim --out .pcapng": (["sim", "--messages", "100000", "--out", "{t}/x.pcapng"], "x.p"),
    "sim --books-out": (["sim", "--messages", "100000", "--out", "{d}/y.itch", "--books-out", "{t}/x.tsv"], "x.tsv"),
    "book --books-out": (["book", "{d}/day.itch", "--books-out", "{t}/x.tsv"], "x.tsv"),
    "run --books-out": (["run", "--quiet", "--file", "{d}/day.pcapng", "--books-out", "{t}/x.tsv"], "x.tsv"),
    "run --latency-log": (["run", "--quiet", "--file", "{d}/day.pcapng", "--latency-log", "{t}/x.hlog"], "x.hlog"),
}


def disk(folder):
    small = os.path.join(folder, "small")
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", small], check=True)
    with open(os.path.join(small, "fill"), "wb") as fill:
        fill.write(bytes(12288))  # one page is left
    for name, (arguments, file) in WRITERS.items():
        if name == "run --latency-log":  # its lines are short: no page is left
            with open(os.path.join(small, "more"), "wb") as fill:
                fill.write(bytes(4096))
        done = run([MDFH] + [word.format(d=folder, t=small) for word in arguments])
        expect(f"{name} on a full disk", done, 2, "small/" + file, "No space left", "make room")
        left = sorted(set(os.listdir(small)) - {"fill", "more"})
        check(f"{name} leaves nothing half-written", left in ([], ["x.hlog"]), left)
        for name in left:
            os.unlink(os.path.join(small, name))
    subprocess.run(["umount", small], check=True)

    # An interval that finds no room: said once, received to the end, status 2.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", small], check=True)
    done = run([MDFH, "run", "--quiet", "--group", GROUP, "--interface", "lo", "--seconds", "4", "--latency-interval",
                "100", "--latency-log", f"{small}/x.hlog"])
    expect("run whose latency log fills the disk", done, 2, "x.hlog", "No space left")
    check("it says so once", done.stderr.count("No space left") == 1, done.stderr)
    subprocess.run(["umount", small], check=True)


# access -------------------------------------------------------------------------------------------


def as_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def access(folder):
    is_root = os.geteuid() == 0 and open("/proc/self/uid_map").read().split()[2] != "1"
    program = shutil.copy(MDFH, os.path.join(folder, "mdfh"))  # where anybody may run it
    secret = os.path.join(folder, "secret.pcapng")
    shutil.copy(f"{folder}/day.pcapng", secret)
    os.chmod(secret, 0)
    missing = os.path.join(folder, "missing.pcapng")
    readers = {"bench": ["bench", "decode"], "book": ["book"], "compare": ["compare", f"{folder}/books.tsv"],
               "dump": ["dump"], "replay": ["replay"], "run --file": ["run", "--file"], "run": ["run"],
               "sim": ["sim", "--scenario"]}
    for name, arguments in readers.items():
        expect(f"{name}: no such file", run([MDFH, *arguments, missing]), 2, "missing.pcapng", "No such file")
        if is_root:
            expect(f"{name}: no right to read", run([program, *arguments, secret], preexec_fn=as_nobody), 2,
                   "secret.pcapng", "Permission denied")
    for name in ("book", "replay", "run --file"):
        expect(f"{name}: a folder", run([MDFH, *name.split(), folder]), 2, folder, "Is a directory")
    with open(f"{folder}/day.pcapng", "rb") as whole, open(f"{folder}/cut.pcapng", "wb") as cut:
        cut.write(whole.read()[:-1001])
    for name in ("dump", "book", "replay --speed 0", "run --quiet --file", "run --json --file"):
        expect(f"{name}: a capture that is cut", run([MDFH, *name.split(), f"{folder}/cut.pcapng"]), 1, "cut.pcapng",
               "cut or damaged")
    for name, (arguments, file) in WRITERS.items():
        done = run([MDFH] + [word.format(d=folder, t=f"{folder}/no/such") for word in arguments])
        expect(f"{name}: no such folder", done, 2, "no/such", "No such file")
    expect("dump: no such type", run([MDFH, "dump", "--type", "add_ordr", f"{folder}/day.itch"]), 2,
           "'add_ordr'", "add_order", "itch50")
    expect("dump: no such type of a protocol", run([MDFH, "dump", "-p", "tops16", "--type", "add_order",
                                                    f"{folder}/day.itch"]), 2, "'add_order'", "tops16")
    for command, option, text in (("run", "slots", "x"), ("sim", "rate", "nan"), ("replay", "loop", "-1"),
                                  ("book", "depth", "0"), ("run", "speed", "1e99"), ("sim", "symbols", "1e3")):
        done = run([MDFH, command, f"--{option}", text])
        expect(f"{command} --{option} {text}", done, 2, f"'{text}'", "number from")


# network ------------------------------------------------------------------------------------------


def network(folder):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        expect("run: a port in use", run([MDFH, "run", "--group", f"127.0.0.1:{port}", "--seconds", "1"]), 2,
               f"127.0.0.1 port {port}", "in use", "take another port")
    for command in (["run", "--group", GROUP, "--seconds", "1"], ["sim", "--seconds", "1"],
                    ["replay", f"{folder}/day.pcapng"]):
        expect(f"{command[0]}: no such interface", run([MDFH, *command, "--interface", "eth77"]), 2, "eth77", "No such device")
    expect("run: no such core", run([MDFH, "run", "--group", GROUP, "--core", "4000", "--seconds", "1"]), 2, "4000")
    expect("run: no such backend", run([MDFH, "run", "--group", GROUP, "--backend", "nosuch"]), 2, "nosuch")

    configuration = f"{folder}/huge.yaml"
    with open(configuration, "w") as file:
        file.write("hugepages: on\nchannels: [{protocol: itch50, lines: [{group: 239.1.1.1:26477, interface: lo}]}]\n")
    pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
    if not os.path.exists(pool) or open(pool).read().strip() == "0":
        expect("run: no hugepages", run([MDFH, "run", configuration, "--seconds", "1"]), 2, "hugepages")


def next_line(process, seconds=60):
    """A line of its standard error, or what there is of one when no more comes. By the byte: a line that lies
    in a buffer of ours is none that select knows of."""
    line = b""
    while not line.endswith(b"\n") and select.select([process.stderr], [], [], seconds)[0]:
        byte = os.read(process.stderr.fileno(), 1)
        if not byte:
            break
        line += byte
    return line.decode()


def lines_until(process, *wanted):
    """What it says until all of this was said, in whatever order, or no more comes."""
    lines = [next_line(process)]
    while lines[-1] and not all(any(text in line for line in lines) for text in wanted):
        lines.append(next_line(process))
    return lines


def interface_down(_):
    process = subprocess.Popen([MDFH, "run", "--json", "--stay", "--group", GROUP, "--interface", "lo", "--seconds", "60"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    sent = run([MDFH, "sim", "--messages", "2000", "--rate", "20000", "--linger", "0", "--wait-for-listener", "60"])
    assert sent.returncode == 0, sent
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    lines = lines_until(process, "interface lo is down", "line A is down")
    check("run says that the interface is down", any("interface lo is down" in line and "ip link set lo up" in line
                                                     for line in lines), lines)
    check("run says that the line is down", any("line A is down" in line for line in lines), lines)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    lines = lines_until(process, "interface lo works again")
    check("run says that the interface works again", "interface lo works again" in lines[-1], lines)
    process.send_signal(signal.SIGINT)
    summary = json.loads(process.communicate(timeout=60)[0])
    check("nothing was lost, so the status is 0", process.returncode == 0, process.returncode)
    check("the line was down once", summary["channels"][0]["lines"][0]["downs"] == 1, summary["channels"])


# losses -------------------------------------------------------------------------------------------


def lines_until(process, *parts):
    """What it says until each part has been in a line, 20 s at most."""
    lines = []
    end = time.monotonic() + 20
    while time.monotonic() < end and not all(any(part in line for line in lines) for part in parts):
        lines.append(next_line(process, 1))
    return lines


def losses(_):
    command = [MDFH, "run", "--json", "--stay", "--group", GROUP, "--group", "239.1.1.2:26478", "--interface", "lo",
               "--seconds", "60"]
    exchange = [MDFH, "sim", "--group-b", "239.1.1.2:26478", "--messages", "20000", "--rate", "20000",
                "--wait-for-listener", "20"]

    # Lost before it came here: what line A lacks alone is missing, what both lack is lost.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    sent = run([*exchange, "--linger", "0", "--drop-a", "5000-5030", "--drop-b", "5020-5050"])
    assert sent.returncode == 0, sent
    told = ["itch50 line A: ", "itch50 line B: ", "messages missing; no counter of this host rose",
            "messages lost, cause: upstream"]
    lines = lines_until(process, *told)
    check("run says what was lost upstream", all(any(part in line for line in lines) for part in told), lines)
    process.send_signal(signal.SIGINT)
    summary = json.loads(process.communicate(timeout=60)[0])
    lost = sum(int(re.search(r"itch50: (\d+) messages lost", line)[1]) for line in lines if "messages lost" in line)
    check("run says how much, once", lost == summary["lost"], (lost, summary["lost"]))

    # Lost here: a handler that stands still finds its buffers overrun.
    process = subprocess.Popen([*command, "--status", "--receive-buffer", "65536"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    next_line(process)  # it has joined
    process.send_signal(signal.SIGSTOP)
    with subprocess.Popen([*exchange, "--linger", "4"], stdout=subprocess.DEVNULL) as sim:
        time.sleep(2)  # 20,000 messages take one, and are many times what a buffer holds
        process.send_signal(signal.SIGCONT)
        told = ["packets dropped by this host: NIC 0, kernel 0, socket ", "messages lost, cause: socket"]
        lines = lines_until(process, *told)
        check("run says what its socket dropped", all(any(part in line for line in lines) for part in told), lines)
        sim.terminate()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


# interrupt ----------------------------------------------------------------------------------------


def wait_for_handler(process):
    """Until it catches SIGINT."""
    while int(re.search(r"SigCgt:\s*(\w+)", open(f"/proc/{process.pid}/status").read())[1], 16) & 2 == 0:
        assert process.poll() is None
        time.sleep(0.001)


def interrupt(folder):
    """What takes long shows its summary, or says that it was interrupted."""
    for arguments in (["run", "--group", GROUP, "--interface", "lo"],
                      ["sim", "--seconds", "60", "--rate", "1000", "--status"],
                      ["replay", "--speed", "0.0001", f"{folder}/day.pcapng"]):
        process = subprocess.Popen([MDFH, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for_handler(process)
        if arguments[0] == "sim":
            next_line(process)  # its first message is out
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        check(f"{arguments[0]}: SIGINT", process.returncode == 0 and out, (process.returncode, out, err))
    big = os.path.join(folder, "big.itch")
    assert run([MDFH, "sim", "--messages", "3000000", "--out", big]).returncode == 0
    process = subprocess.Popen([MDFH, "bench", "book", big], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_handler(process)  # what it then does takes far longer
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    check("bench: SIGINT", process.returncode == -signal.SIGINT and "interrupted" in err and not out,
          (process.returncode, out, err))


enter_namespaces()
with tempfile.TemporaryDirectory() as name:
    make_files(name)
    for part in (output, devices, disk, access, network, interface_down, losses, interrupt):
        part(name)
        print(f"{part.__name__}: done, {failed} failed so far")
sys.exit(1 if failed else 0)
