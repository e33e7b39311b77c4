#!/usr/bin/env python3
"""mdfh sim as a receiver sees it: files, multicast on two lines, loss, interruption, refusals.

usage: test_sim.py MDFH files|scenarios|network

Nothing of mdfh is used to look at what it sends: packets are taken apart here by the tables of
the MoldUDP64 and ITCH 5.0 specifications, the framing also by tshark, and the books are kept
again by a book of a few lines. (tshark's own dissector of ITCH knows version 3 at most.)

network makes a network namespace of its own and needs the right to do so (77 without it)."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SKIPPED = 77
GROUP_A, GROUP_B, PORT = "239.1.1.1", "239.1.1.2", 26477
COMMAND = sys.argv[1]


def check(condition, what):
    if not condition:
        sys.exit(f"test_sim.py: {what}")


def run(*options, status=0):
    done = subprocess.run([COMMAND, "sim", *map(str, options)], capture_output=True, text=True,
                          timeout=120, check=False)
    check(done.returncode == status,
          f"{options}: exit status {done.returncode}, not {status}: {done.stderr}")
    return done


class Book:
    """Orders in queues: a dictionary keeps its insertion order, which is the queue's."""

    def __init__(self):
        self.names = {}
        self.orders = {}  # id -> [locate, side, price, shares]

    def apply(self, m):
        kind = m[0:1]
        locate = struct.unpack_from(">H", m, 1)[0]
        if kind == b"R":
            self.names[locate] = m[11:19].decode().rstrip()
        elif kind in b"AF":
            order, side, shares = struct.unpack_from(">QcI", m, 11)
            check(order not in self.orders, f"order {order} twice")
            self.orders[order] = [locate, side.decode(), struct.unpack_from(">I", m, 32)[0], shares]
        elif kind in b"ECX":
            order, shares = struct.unpack_from(">QI", m, 11)
            self.orders[order][3] -= shares
            check(self.orders[order][3] >= 0, f"order {order} below zero")
            if not self.orders[order][3]:
                del self.orders[order]
        elif kind == b"D":
            del self.orders[struct.unpack_from(">Q", m, 11)[0]]
        elif kind == b"U":
            old, new, shares, price = struct.unpack_from(">QQII", m, 11)
            locate, side, _, _ = self.orders.pop(old)
            check(new not in self.orders, f"order {new} twice")
            self.orders[new] = [locate, side, price, shares]

    def dump(self):
        rows, places = [], {}
        for order, (locate, side, price, shares) in self.orders.items():
            level = (self.names[locate], side, price)
            places[level] = places.get(level, -1) + 1
            rows.append((level[0], side, -price if side == "B" else price, places[level], order,
                         shares))
        return "".join(f"{symbol}\t{side}\t{abs(price)}\t{place}\t{order}\t{shares}\n"
                       for symbol, side, price, place, order, shares in sorted(rows))


def blocks(data):
    """The messages of a run of length-prefixed blocks."""
    at = 0
    while at < len(data):
        length = struct.unpack_from(">H", data, at)[0]
        check(at + 2 + length <= len(data), "a block runs past the end")
        yield data[at + 2:at + 2 + length]
        at += 2 + length


def without_time(message):
    return message[:5] + message[11:]


class Line:
    """What one line carried, in the order of arrival."""

    def __init__(self):
        self.messages = {}
        self.heartbeats = []
        self.ends = []
        self.packets = 0
        self.sessions = set()

    def take(self, data):
        session, first, count = struct.unpack_from(">10sQH", data)
        self.sessions.add(session)
        if count in (0, 0xFFFF):
            check(len(data) == 20, "a heartbeat or end of session with a body")
            (self.ends if count else self.heartbeats).append(first)
            return
        self.packets += 1
        found = list(blocks(data[20:]))
        check(len(found) == count, f"{count} messages announced, {len(found)} found")
        for i, message in enumerate(found):
            check(first + i not in self.messages, f"message {first + i} twice on a line")
            self.messages[first + i] = message


# Files -----------------------------------------------------------------------------


def test_files(folder):
    common = ("--messages", 60000, "--seed", 7)
    day = folder / "day.itch"
    again = folder / "again.itch"
    other = folder / "other.itch"
    dump = folder / "day.tsv"
    summary = json.loads(run(*common, "--out", day, "--books-out", dump, "--json").stdout)
    run(*common, "--out", again)
    run("--messages", 60000, "--seed", 8, "--out", other)
    content = day.read_bytes()
    check(content == again.read_bytes(), "equal seeds, different bytes")
    check(content != other.read_bytes(), "different seeds, equal bytes")
    check(content[-2:] == b"\0\0", "no end marker")
    messages = list(blocks(content[:-2]))
    check(len(messages) == summary["messages"] == 60000, "number of messages in the file")
    book = Book()
    for message in messages:
        book.apply(message)
    check(book.dump() == dump.read_text(), "books differ from those of a book of our own")
    check(summary["orders"] == len(book.orders) > 1000, "number of live orders")

    if not shutil.which("tshark"):
        print("test_sim.py: tshark is not installed, framing was not checked by it")
        return
    for suffix in (".pcap", ".pcapng"):
        capture = folder / f"day{suffix}"
        run(*common, "--clock", "day", "--rate", 200000, "--date", "2026-03-09", "--skew-us", 300,
            "--group", f"{GROUP_A}:{PORT}", "--group-b", f"{GROUP_B}:{PORT}", "--drop-b", "5-9",
            "--session", "ABC", "--out", capture)
        fields = ("frame.time_epoch", "ip.dst", "ip.ttl", "moldudp64.session",
                  "moldudp64.sequence", "moldudp64.count", "moldudp64.msgseq", "moldudp64.msglen",
                  "moldudp64.msgdata", "ip.checksum.status", "udp.checksum.status")
        text = subprocess.run(
            ["tshark", "-r", capture, "-d", f"udp.port=={PORT},moldudp64", "-T", "fields",
             "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
             *(word for field in fields for word in ("-e", field))],
            capture_output=True, text=True, timeout=120, check=True).stdout
        got = {GROUP_A: {}, GROUP_B: {}}
        times = {GROUP_A: {}, GROUP_B: {}}
        ends = {GROUP_A: 0, GROUP_B: 0}
        last = 0
        for row in text.splitlines():
            (at, group, ttl, session, first, count, numbers, lengths, data, ip_sum,
             udp_sum) = row.split("\t")
            check(float(at) >= last, "times of the capture go back")
            last = float(at)
            check(ttl == "1" and session.rstrip() == "ABC", f"ttl {ttl}, session {session}")
            check(ip_sum == udp_sum == "1", "a checksum is wrong")
            if count == "65535":
                ends[group] += 1
                check(int(first) == 60001, "end of session has the wrong number")
            elif count != "0":
                numbers, lengths = numbers.split(","), lengths.split(",")
                check(len(numbers) == int(count), "count")
                times[group][int(first)] = at
                for number, length, message in zip(numbers, lengths, data.split(",")):
                    message = bytes.fromhex(message)
                    check(len(message) == int(length), "length")
                    got[group][int(number)] = message
        check([got[GROUP_A][i + 1] for i in range(60000)] == messages, "messages by tshark")
        left_out = set(got[GROUP_A]) - set(got[GROUP_B])
        check(left_out >= set(range(5, 10)) and len(left_out) < 200, "--drop-b 5-9")
        check(all(got[GROUP_A][i] == got[GROUP_B][i] for i in got[GROUP_B]), "lines differ")
        for first, at in times[GROUP_B].items():
            seconds, ns = (int(part) for part in at.split("."))
            seconds_a, ns_a = (int(part) for part in times[GROUP_A][first].split("."))
            check((seconds - seconds_a) * 10**9 + ns - ns_a == 300000, "skew of line B")
        check(int(times[GROUP_A][1].split(".")[0]) == 1773063000, "09:30 of 2026-03-09 in UTC")
        check(ends[GROUP_A] == ends[GROUP_B] == 11, f"ends of session {ends}")


# Network -----------------------------------------------------------------------------


def listen6(group):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
    sock.setsockopt(socket.IPPROTO_IPV6, 51, 1)  # IPV6_RECVHOPLIMIT
    sock.bind((group, PORT))
    index = socket.if_nametoindex("lo")
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                    socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
    return sock


def listen(group):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
    sock.bind((group, PORT))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                    socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
    sock.settimeout(20)
    return sock


def receive(socks, process, until=None):
    """Everything until the process has ended and the sockets are empty."""
    lines = [Line() for _ in socks]
    for sock in socks:
        sock.setblocking(False)
    deadline = time.monotonic() + 100
    is_over = False
    while True:
        got = 0
        for sock, line in zip(socks, lines):
            try:
                while True:
                    line.take(sock.recv(65536))
                    got += 1
            except BlockingIOError:
                pass
        if until and until(lines):
            process.send_signal(signal.SIGINT)
            until = None
        if is_over and not got:
            return lines
        is_over = process.poll() is not None
        check(time.monotonic() < deadline, "the simulator does not end")
        if not got:
            time.sleep(0.001)


def start(*options):
    return subprocess.Popen([COMMAND, "sim", "--json", *map(str, options)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def summary_of(process):
    said, complaint = process.communicate(timeout=60)
    check(process.returncode == 0, f"exit status {process.returncode}: {complaint}")
    return json.loads(said)


def check_books(line, dump, total):
    book = Book()
    for i in range(total):
        book.apply(line.messages[i + 1])
    check(book.dump() == dump.read_text(), "books differ from those of what was received")
    return len(book.orders)


def test_two_lines(folder):
    socks = [listen(GROUP_A), listen(GROUP_B)]
    dump = folder / "books.tsv"
    common = ("--messages", 30000, "--seed", 3)
    process = start(*common, "--rate", 30000, "--group", f"{GROUP_A}:{PORT}", "--group-b",
                    f"{GROUP_B}:{PORT}", "--skew-us", 400, "--heartbeat", 50, "--start-delay", 0.8,
                    "--linger", 0.8, "--drop-a", "2000ppm,100-120", "--drop-b", "25000",
                    "--books-out", dump, "--wait-for-listener", 60)
    lines = receive(socks, process)
    summary = summary_of(process)
    total = summary["messages"]
    check(total == 30000 and not summary["interrupted"], f"{summary}")
    for line, stats in zip(lines, summary["lines"]):
        check(line.sessions == {b"MDFHSIM   "}, f"session {line.sessions}")
        check(line.heartbeats[0] == 1 and len(line.heartbeats) >= 4, "heartbeats before the start")
        check(len(line.heartbeats) == stats["heartbeats"], "heartbeats")
        check(line.ends == [total + 1] * stats["ends_of_session"] and len(line.ends) >= 3,
              f"ends of session {line.ends}")
        check(line.packets == stats["packets"], "packets")
        check(len(line.messages) == stats["messages"], "messages of a line")
        check(len(line.messages) + stats["dropped_messages"] == total, "what was left out")
    a, b = (line.messages for line in lines)
    check(not set(range(100, 121)) & set(a), "--drop-a by number")
    check(25000 not in b, "--drop-b by number")
    check(len(a) < total - 21, "--drop-a by chance")
    check(all(a[i] == b[i] for i in a if i in b), "lines differ")
    both = {**a, **b}
    check(len(set(range(1, total + 1)) - set(both)) == summary["lost_on_both"],
          "what both lines left out")

    # The same day as in a file, but for the times.
    day = folder / "day.itch"
    run(*common, "--out", day)
    for i, message in enumerate(blocks(day.read_bytes()[:-2])):
        if i + 1 in both:
            check(without_time(message) == without_time(both[i + 1]), f"message {i + 1}")
    stamps = [int.from_bytes(both[i][5:11], "big") for i in sorted(both)]
    check(stamps == sorted(stamps), "times go back")
    # 30,000 messages at 30,000 a second, by the schedule: between 0.95 and 1 s.
    check(950_000_000 < stamps[-1] - stamps[0] <= 1_001_000_000, "times do not keep the rate")
    for sock in socks:
        sock.close()


def test_interrupted(folder):
    sock = listen(GROUP_A)
    dump = folder / "interrupted.tsv"
    process = start("--messages", 200000, "--symbols", 50, "--rate", 10000, "--group",
                    f"{GROUP_A}:{PORT}", "--linger", 0.1, "--books-out", dump)
    line, = receive([sock], process, lambda lines: len(lines[0].messages) > 5000)
    summary = summary_of(process)
    total = summary["messages"]
    check(summary["interrupted"] and 5000 < total < 200000, f"{summary}")
    check(len(line.messages) == total, "messages sent before the interruption")
    check(set(line.ends) == {total + 1}, "end of session after the interruption")
    check(check_books(line, dump, total) == summary["orders"] > 100, "live orders")
    sock.close()


def packets_of(capture):
    """Group, time in ns and UDP payload of each packet of a classic capture, taken apart by hand."""
    data = capture.read_bytes()
    check(data[:4] == bytes.fromhex("4d3cb2a1"), "not a pcap in nanoseconds")
    at = 24
    while at < len(data):
        seconds, ns, length = struct.unpack_from("<III", data, at)
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if frame[12:14] == b"\x86\xdd":
            yield socket.inet_ntop(socket.AF_INET6, frame[38:54]), seconds * 10**9 + ns, frame[62:]
        else:
            yield socket.inet_ntop(socket.AF_INET, frame[30:34]), seconds * 10**9 + ns, frame[42:]


FAULTS = """
symbols: 50
messages: 40000
rate: 40000
seed: 4
random_halts: 0
phases:
  - {kind: market, from: 09:30, until: 10:30, share: 1}
lines:
  - {line: b, from: 09:40, until: 10:00, silent: true}
  - {line: b, from: 10:00, until: 10:10, skew_us: 30000}
  - {line: a, from: 10:15, until: 10:20, drop_ppm: 200000}
"""


def test_line_faults(folder):
    """Silence, another skew and drops, each from when to when the file says."""
    path, capture = folder / "faults.yaml", folder / "faults.pcap"
    path.write_text(FAULTS)
    run("--scenario", path, "--clock", "day", "--heartbeat", 20, "--skew-us", 100, "--out", capture,
        "--group", f"{GROUP_A}:{PORT}", "--group-b", f"{GROUP_B}:{PORT}")
    lines = {GROUP_A: {}, GROUP_B: {}}
    heartbeats = []
    last = {}
    for group, when, payload in packets_of(capture):
        first, count = struct.unpack_from(">QH", payload, 10)
        if count == 0:
            heartbeats.append((group, when))
            continue
        if count == 0xFFFF:
            continue
        check(when >= last.get(group, 0), "a line overtakes itself")
        last[group] = when
        clock = int.from_bytes(payload[27:33], "big")
        lines[group][first] = (when, clock, payload)
    a, b = lines[GROUP_A], lines[GROUP_B]

    def hours(line, start, end):
        return [first for first, (_, clock, _) in line.items()
                if start * 6 * 10**11 <= clock < end * 6 * 10**11]  # tens of minutes
    begin = 57  # 09:30 is 57 times ten minutes
    check(len(hours(b, begin, begin + 1)) > 1000, "line B before")
    check(not hours(b, begin + 1, begin + 3), "line B is silent")
    check(len(hours(a, begin + 1, begin + 3)) > 2000, "line A meanwhile")
    silence = [a[first][0] for first in hours(a, begin + 1, begin + 3)]
    check(not [beat for beat in heartbeats if beat[0] == GROUP_B and
               min(silence) < beat[1] < max(silence)], "heartbeats of a silent line")
    check({beat[0] for beat in heartbeats} == {GROUP_A, GROUP_B}, "heartbeats at the start")
    for start, end, skew in ((0, 1, 100), (3, 4, 30000)):
        shared = [first for first in hours(b, begin + start, begin + end) if first in a]
        check(len(shared) > 500, "packets on both lines")
        check(all(b[first][0] - a[first][0] == skew * 1000 for first in shared), f"skew {skew}")
    # After the long skew nothing overtakes, and a little later all is as it was.
    late = [first for first in hours(b, begin + 5, begin + 6) if first in a]
    check(all(b[first][0] - a[first][0] == 100000 for first in late), "skew afterwards")
    lost = [first for first in hours(b, begin + 4.5, begin + 5) if first not in a]
    kept = [first for first in hours(b, begin + 4.5, begin + 5) if first in a]
    check(0.1 < len(lost) / (len(lost) + len(kept)) < 0.3, "drops of line A")
    check(not [first for first in b if first not in a and first not in lost], "drops elsewhere")


def test_dead_line(folder):
    """A line that is silent until the end has no end of session either; the other has its own."""
    path, capture = folder / "dead.yaml", folder / "dead.pcap"
    path.write_text("messages: 10000\nsymbols: 50\nlines: [{line: b, from: 12:00, until: 24:00, silent: true}]\n")
    run("--scenario", path, "--out", capture, "--group", f"{GROUP_A}:{PORT}", "--group-b", f"{GROUP_B}:{PORT}")
    ends = {group for group, _, payload in packets_of(capture) if payload[18:20] == b"\xff\xff"}
    check(ends == {GROUP_A}, f"the lines with an end of session are {ends}")


def test_busy_phase(folder):
    """Line B far behind in a phase that is 27 times as fast as the mean: it holds up nobody."""
    path, capture = folder / "busy.yaml", folder / "busy.pcap"
    path.write_text("messages: 60000\nrate: 20000\nburst: 1\nsymbols: 50\nfollow_clock: true\nphases:\n"
                    "  - {kind: pre-market, from: 09:00, until: 09:29, share: 10}\n"
                    "  - {kind: market, until: 09:30, share: 90}\n")
    done = run("--scenario", path, "--out", capture, "--group-b", f"{GROUP_B}:{PORT}", "--skew-us", 900000,
               "--mtu-payload", 72, "--json")
    late = [line["lateness_us"]["max"] for line in json.loads(done.stdout)["lines"]]
    check(late == [0, 0], f"lateness in a file is {late} us")


TIMING = """
symbols: 20
messages: 100000
rate: 100000
burst: 1
random_halts: 0
phases:
  - {kind: pre-market, from: 09:00, until: 09:30, share: 20, pace: 0.5}
  - {kind: market, until: 10:00, share: 40}
  - {kind: market, until: 11:00, share: 40, pace: 4}
events:
  - {at: 09:45, kind: burst, factor: 25, ms: 4}
"""


def test_top_level_keys(folder):
    """Each does what its option does, to the byte; and each makes a difference."""
    pairs = {"seed": ("--seed", 9), "messages": ("--messages", 40000), "rate": ("--rate", 50000),
             "burst": ("--burst", 3), "symbols": ("--symbols", 30),
             "live_orders": ("--live-orders", 400), "skew_us": ("--skew-us", 250),
             "drop_a": ("--drop-a", "1000ppm,50-60"), "drop_b": ("--drop-b", "70")}
    common = ("--group-b", f"{GROUP_B}:{PORT}", "--date", "2026-03-09", "--linger", 0)
    path, options, keys = folder / "keys.yaml", folder / "options.pcap", folder / "keys.pcap"

    def by_file(names):
        path.write_text("".join(f"{name}: {pairs[name][1]}\n" for name in names))
        rest = [word for name in pairs if name not in names and name in ("messages", "symbols")
                for word in pairs[name]]
        run("--scenario", path, *rest, *common, "--out", keys)
        return keys.read_bytes()
    run(*(word for pair in pairs.values() for word in pair), *common, "--out", options)
    check(options.read_bytes() == by_file(list(pairs)), "keys and options differ")
    for left_out in pairs:
        if left_out in ("messages", "symbols"):
            continue
        check(options.read_bytes() != by_file([name for name in pairs if name != left_out]),
              f"{left_out} makes no difference")
    path.write_text("messages: 40000\nseconds: 0.8\nsymbols: 30\n")
    run("--scenario", path, *common, "--out", keys)
    run("--messages", 40000, "--rate", 50000, "--symbols", 30, *common, "--out", options)
    check(options.read_bytes() == keys.read_bytes(), "seconds")


def test_wire_timing(folder):
    """Paces and bursts on the wire; all together the day takes as long as its mean rate says."""
    path, capture = folder / "timing.yaml", folder / "timing.pcap"
    path.write_text(TIMING)
    run("--scenario", path, "--clock", "day", "--flush-us", 0, "--linger", 0, "--out", capture)
    arrivals = []
    for _, when, payload in packets_of(capture):
        if 0 < struct.unpack_from(">H", payload, 18)[0] < 0xFFFF:
            arrivals += [(when, int.from_bytes(m[5:11], "big")) for m in blocks(payload[20:])]
    check(len(arrivals) == 100000, f"{len(arrivals)} messages")
    span = (arrivals[-1][0] - arrivals[0][0]) / 1e9
    check(0.98 < span < 1.02, f"the day takes {span} s")

    def rate(start, end):
        found = [when for when, clock in arrivals if start * 6e10 <= clock < end * 6e10]
        return len(found) / (found[-1] - found[0]) * 1e9
    slow, middle, fast = rate(541, 569), rate(571, 584), rate(601, 659)
    check(1.95 < middle / slow < 2.05 and 3.9 < fast / middle < 4.1, f"{slow} {middle} {fast}")
    # The burst: 25 times the mean for 4 ms are 10,000 messages.
    begin = next(when for when, clock in arrivals if clock >= 585 * 6e10)
    inside = [when for when, _ in arrivals if begin <= when <= begin + 4_000_000]
    check(9900 < len(inside) < 10100, f"{len(inside)} messages in the burst")
    after = [when for when, _ in arrivals if begin + 5_000_000 < when <= begin + 9_000_000]
    check(len(after) < 500, f"{len(after)} messages after the burst")


def test_same_bytes(folder):
    """One seed, one day: in each kind of file."""
    common = ("--messages", 30000, "--seed", 12, "--symbols", 100, "--clock", "day")
    itch, pcap, pcapng = folder / "same.itch", folder / "same.pcap", folder / "same.pcapng"
    for path in (itch, pcap, pcapng):
        run(*common, "--date", "2026-03-09", "--out", path) if path != itch else \
            run(*common, "--out", path)
        check(not list(folder.glob("*.part*")), "a partial file is left")
    messages = list(blocks(itch.read_bytes()[:-2]))
    found = []
    for _, _, payload in packets_of(pcap):
        if struct.unpack_from(">H", payload, 18)[0] != 0xFFFF:
            found += list(blocks(payload[20:]))
    check(found == messages, "messages of the capture and of the file differ")
    if shutil.which("editcap"):
        again = folder / "again.pcap"
        subprocess.run(["editcap", "-F", "nsecpcap", pcapng, again], check=True, timeout=60)
        check(again.read_bytes()[24:] == pcap.read_bytes()[24:], "pcap and pcapng differ")


def test_scenarios(folder):
    """Those that are installed: each runs, keeps its promises, and repeats."""
    scenarios = sorted((Path(os.environ["MDFH_SOURCE"]) / "scenarios").glob("*.yaml"))
    check(len(scenarios) == 3, f"{scenarios}")
    for path in scenarios:
        day, dump = folder / f"{path.stem}.itch", folder / f"{path.stem}.tsv"
        short = ("--seconds", 6) if path.stem == "busy-open" else ()
        summary = json.loads(run("--scenario", path, *short, "--out", day, "--books-out", dump,
                                 "--json").stdout)
        check(summary["messages"] == (600000 if short else 1000000), f"{path}: {summary}")
        book, kinds, halted, names = Book(), {}, {}, {}
        for message in blocks(day.read_bytes()[:-2]):
            book.apply(message)
            kind = message[0:1]
            kinds[kind] = kinds.get(kind, 0) + 1
            if kind == b"R":
                names[message[11:19].rstrip()] = message[1:3]
            elif kind == b"H":
                halted.setdefault(message[1:3], []).append(message[19:20] + message[21:25])
        check(book.dump() == dump.read_text(), f"{path}: books differ")
        if path.stem == "normal-day":
            check(halted[names[b"NEWCO"]] == [b"HIPO1", b"QIPOQ", b"T    "], "the offering")
            check(kinds[b"K"] == 1 and b"O" not in kinds and b"W" not in kinds, f"{kinds}")
            check(kinds[b"Y"] == 2001, "the short sale restriction")
        elif path.stem == "busy-open":
            check(halted[names[b"TECH"]] == [b"T    ", b"PLUDP", b"QT7  ", b"TT7  "], "the pause")
            check(kinds[b"J"] == 1 and kinds[b"I"] > 10000, f"{kinds}")
            check(not any(state for locate, states in halted.items() for state in states[1:]
                          if locate != names[b"TECH"]), "halts of others")
        else:
            check(kinds[b"W"] == 1 and kinds[b"B"] > 100, f"{kinds}")
            check(all([state for state in states if state[1:4] == b"MWC"] ==
                      [b"HMWC1", b"QMWCQ", b"TMWCQ"] for states in halted.values()), "the breaker")
    # Options override the file, and the last of two ways to say the same wins.
    path = scenarios[1]
    summary = json.loads(run("--scenario", path, "--messages", 100000, "--seed", 5, "--symbols", 300,
                             "--out", folder / "over.itch", "--json").stdout)
    check(summary["messages"] == 100000 and summary["seed"] == 5 and summary["symbols"] <= 300,
          f"{summary}")
    bad = folder / "bad.yaml"
    bad.write_text("seed: 1\nevents:\n  - {at: 10:00, kind: halt}\n")
    check(f"{bad}:3: events 1: a halt needs 'symbols'" in
          run("--scenario", bad, "--out", folder / "x.itch", status=2).stderr, "error of a file")
    check("scenario " in run("--scenario", folder / "none.yaml", status=2).stderr, "no file")
    check(not list(folder.glob("x*")), "a file after an error")


def test_full_disk(folder):
    """No file under the final name, and none of the temporary ones, when not all could be written."""
    place = folder / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place],
                      check=False, capture_output=True).returncode:
        print("test_sim.py: no right to mount a small disk; a full one was not tried")
        return
    for suffix in ("itch", "pcap", "pcapng"):
        said = run("--messages", 300000, "--symbols", 10, "--out", place / f"day.{suffix}",
                   status=2).stderr
        left = list(place.iterdir())
        if "No space left" not in said or f"{place}/day." not in said or left:
            break
    subprocess.run(["umount", place], check=True)
    check("No space left" in said and f"{place}/day." in said, said)
    check(not left, f"{left} are left")


def test_ipv6(folder):
    group = f"[ff15::7]:{PORT}"
    said = run("--messages", 300, "--rate", 1000, "--group", group, status=2).stderr
    check("no route to group ff15::7" in said and "ip -6 route add" in said, said)
    subprocess.run("ip -6 route add local ff00::/8 dev lo", shell=True, check=True)
    sock = listen6("ff15::7")
    process = start("--messages", 20000, "--symbols", 50, "--rate", 50000, "--seed", 12, "--group",
                    group, "--linger", 0.1, "--clock", "day", "--wait-for-listener", 60)
    ancillary = []

    class Receiver:
        """Looks like a socket, and keeps the hop limits."""

        def setblocking(self, flag):
            sock.setblocking(flag)

        def recv(self, size):
            data, extra, _, _ = sock.recvmsg(size, 100)
            ancillary.extend(int.from_bytes(value, "little") for _, _, value in extra)
            return data
    line, = receive([Receiver()], process)
    summary_of(process)
    check(len(line.messages) == 20000 and set(ancillary) == {1}, f"{len(line.messages)} messages, hop limits {set(ancillary)}")
    # On the wire the same bytes as in a file of the day's clock.
    day = folder / "six.itch"
    run("--messages", 20000, "--symbols", 50, "--seed", 12, "--out", day)
    check([line.messages[i + 1] for i in range(20000)] == list(blocks(day.read_bytes()[:-2])),
          "the wire and the file differ")
    sock.close()
    capture = folder / "six.pcap"
    run("--messages", 2000, "--symbols", 5, "--group", group, "--out", capture)
    check({group for group, _, _ in packets_of(capture)} == {"ff15::7"}, "group of the capture")


def test_lateness(folder):
    """What could not be sent on time is said: in numbers, in words, and by the exit status."""
    common = ("--messages", 60000, "--symbols", 100, "--rate", 5000000, "--linger", 0)
    summary = json.loads(run(*common, "--json").stdout)
    check(summary["due_rate"] > 4500000 and summary["due_seconds"] < 0.02, f"{summary}")
    check(summary["lines"][0]["messages"] == 60000, "nothing is left out to catch up")
    check("--max-late allows 0 us" in run(*common, "--max-late", 0, status=1).stderr, "--max-late")
    run("--messages", 300, "--rate", 1000, "--linger", 0, "--max-late", 3600000000)
    said = run("--messages", 25000, "--symbols", 10, "--rate", 10000, "--linger", 0, "--status").stderr
    check(said.count("% sent\n") >= 2 and "\r" not in said, f"--status: {said}")
    said = run("--messages", 25000, "--symbols", 10, "--out", folder / "quiet.pcap").stderr
    check(not said, f"progress without a terminal: {said}")


def test_packing():
    """One message a packet when there is time, full packets when there is none."""
    sock = listen(GROUP_A)
    group = ("--group", f"{GROUP_A}:{PORT}", "--linger", 0)
    line, = receive([sock], start("--messages", 300, "--rate", 1000, "--burst", 1, *group))
    check(line.packets == 300 and len(line.messages) == 300, f"{line.packets} packets")
    line, = receive([sock], start("--messages", 20000, "--rate", 5000000, *group))
    check(len(line.messages) == 20000 and 380 < line.packets < 700, f"{line.packets} packets")
    sock.close()


def test_refusals():
    def refused(what, *options):
        said = run("--messages", 300, "--rate", 10000, *options, status=2).stderr
        check(what in said, f"{options}: {said}")

    subprocess.run("ip link add d0 type bridge && ip link set d0 up && "
                   "ip link add v0 type veth peer name v1 && ip link set v0 up && "
                   "ip link set v1 up", shell=True, check=True)
    refused("--transmit", "--interface", "d0")
    refused("--transmit", "--group", "224.0.31.64:14340")
    refused("--transmit", "--ttl", 2)
    refused("--transmit", "--group", "[ff0e::1]:14340")
    refused("--transmit", "--group", "[ff02::1]:14340")
    refused("--transmit", "--group", "[2001:db8::1]:14340")
    refused("--transmit", "--group", "[ff15::1]:14340", "--interface", "d0")
    refused("or [ff15::1]:26477", "--group", "ff15::1:26477")
    refused("or [ff15::1]:26477", "--group", "[ff15::1]26477")
    refused("or [ff15::1]:26477", "--group", "[239.1.1.1]:26477")
    refused("interface none0", "--interface", "none0")
    refused("like 239.1.1.1:26477", "--group", "239.1.1.1")
    refused("like 239.1.1.1:26477", "--group", "239.1.1.1:99999")
    refused("rate is '5'", "--rate", 5)
    refused("needs at least", "--symbols", 8000)
    refused("must end in", "--out", "day.txt")
    refused("near 'x'", "--drop-a", "5x")
    refused("within 1 s", "--wait-for-listener", 1)
    subprocess.run("ip address add 10.9.9.1/24 dev v0", shell=True, check=True)
    run("--messages", 300, "--rate", 10000, "--interface", "v0", "--linger", 0)
    subprocess.run("ip route add default via 10.9.9.2", shell=True, check=True)
    refused("without a default route", "--interface", "v0")
    subprocess.run("ip route del default && ip -6 route add default dev v0", shell=True, check=True)
    refused("without a default route", "--interface", "v0")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if sys.argv[2] == "files":
            test_files(folder)
            test_same_bytes(folder)
        elif sys.argv[2] == "scenarios":
            test_scenarios(folder)
            test_line_faults(folder)
            test_dead_line(folder)
            test_busy_phase(folder)
            test_wire_timing(folder)
            test_top_level_keys(folder)
        elif "MDFH_TEST_NAMESPACE" not in os.environ:
            environment = dict(os.environ, MDFH_TEST_NAMESPACE="1")
            options = ["-n"] if os.geteuid() == 0 else ["-Urn"]
            if subprocess.run(["unshare", *options, "true"], check=False).returncode:
                print("test_sim.py: no right to make a network namespace")
                sys.exit(SKIPPED)
            sys.exit(subprocess.run(["unshare", "-m", *options, sys.executable, *sys.argv],
                                    env=environment, check=False).returncode)
        else:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            test_two_lines(folder)
            test_interrupted(folder)
            test_packing()
            test_ipv6(folder)
            test_lateness(folder)
            test_full_disk(folder)
            test_refusals()


main()
