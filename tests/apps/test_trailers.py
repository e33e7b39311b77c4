#!/usr/bin/env python3
"""Captures of a tap: its times are those of the packets, through mdfh dump and mdfh run, the messages are
the same as without, and a trailer that is damaged, far off or missing is counted and not believed.

usage: test_trailers.py MDFH

What Wireshark's dissectors read of the same frames is compared where tshark is installed."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

MDFH = sys.argv[1]
FOLDER = tempfile.TemporaryDirectory()
LATE_NS = 1_234_567  # from the tap to the capture


def run(*arguments, status=0):
    done = subprocess.run([MDFH, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done


def read_pcap(path):
    with open(path, "rb") as file:
        data = file.read()
    assert data[:4] == b"M<\xb2\xa1", "not a pcap with ns"
    at = 24
    while at < len(data):
        seconds, ns, captured, wire = struct.unpack_from("<IIII", data, at)
        assert captured == wire
        yield seconds * 10**9 + ns, data[at + 16:at + 16 + captured]
        at += 16 + captured


def write_pcap(name, frames):
    path = os.path.join(FOLDER.name, name)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for time_ns, captured, wire in frames:
            file.write(struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9, len(captured), wire) + captured)
    return path


def metamako(frame, tap_ns, flags=1, extensions=b""):
    return (frame + struct.pack("<I", zlib.crc32(frame)) + extensions +
            struct.pack(">IIBHB", tap_ns // 10**9, tap_ns % 10**9, flags, 42, 7))


def exablaze(frame, tap_ns):
    fraction = -(-(tap_ns % 10**9) * 2**40 // 10**9)  # rounded up: cut to ns it is the same again
    return (frame + struct.pack("<I", zlib.crc32(frame)) + bytes([9, 21]) +
            struct.pack(">I", tap_ns // 10**9) + fraction.to_bytes(5, "big") + b"\0")


def arista(frame, tap_ns, version):
    """A header in front of the frame's type; TAI where the version does not say UTC."""
    tap_ns += 0 if version & 0x100 else 37 * 10**9
    seconds = struct.pack(">I", tap_ns // 10**9)[0 if version & 0xff == 0x10 else 2:]
    return (frame[:12] + b"\xd2\x8b" + struct.pack(">HH", 1, version) + seconds +
            struct.pack(">I", tap_ns % 10**9) + frame[12:])


def with_fcs(frame):
    return frame + struct.pack("<I", zlib.crc32(frame))


def messages(path, *options):
    """(frame number, time, message) of every message, and what standard error says."""
    done = run("dump", path, "--json", *options)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [(m["frame"], m["captured"], {k: m[k] for k in ("sequence", "type", "fields")}) for m in lines], done.stderr


def line_report(path, *options):
    report = json.loads(run("run", "--file", path, "--json", *options).stdout)
    return report, report["channels"][0]["lines"][0]["times"]


def capture_time(text):
    """ns of 2026-11-25T14:30:00.000050000Z, within its day"""
    clock = text.split("T")[1].rstrip("Z")
    hours, minutes, seconds = clock.split(":")
    whole, part = seconds.split(".")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 10**9 + int(part)


def tshark_times(path, dissector, field):
    done = subprocess.run(["tshark", "-n", "-r", path, "--enable-heuristic", dissector, "-T", "fields", "-e", field],
                          capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "TZ": "UTC"})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def see_arista(path, name):
    """What Wireshark reads of the header."""
    bits = name.split("-")[1]
    done = subprocess.run(["tshark", "-n", "-r", path, "-T", "fields", "-e", f"avsp.{bits}sec", "-e", f"avsp.{bits}ns",
                           "-e", "udp.dstport"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    ahead = 37 if name.endswith("tai") else 0
    want_seen = [[(t - LATE_NS) // 10**9 + ahead & (2**int(32 if bits == "64" else 16) - 1), (t - LATE_NS) % 10**9, 26477]
                 for t, _ in original]
    assert seen == want_seen, (name, seen[:2], want_seen[:2])


plain = os.path.join(FOLDER.name, "plain.pcap")
run("sim", "--messages", "2000", "--out", plain)
# As a NIC hands them to a tap: padded to the Ethernet minimum.
original = [(time_ns, frame + bytes(max(0, 60 - len(frame)))) for time_ns, frame in read_pcap(plain)]
want, _ = messages(plain)
want_report, want_times = line_report(plain)
assert want_times["capture"] == len(original) and want_times["tap"] == want_times["synced"] == 0, want_times

EXTENSIONS = b"\0\0\0\x05" + b"\x01\x02\x03\x61"  # a fraction of a ns: one word, the last
CASES = {
    "metamako": (lambda f, t: metamako(f, t), "metamako", 1),
    "metamako-fcs": (lambda f, t: with_fcs(metamako(f, t)), "metamako", 1),
    "metamako-extensions": (lambda f, t: metamako(f, t, 3, EXTENSIONS), "metamako", 1),
    "metamako-degraded": (lambda f, t: metamako(f, t, 0x11), "metamako", 0),
    "exablaze": (lambda f, t: exablaze(f, t), "exablaze", 0),
    "exablaze-fcs": (lambda f, t: with_fcs(exablaze(f, t)), "exablaze", 0),
    "arista-64-utc": (lambda f, t: arista(f, t, 0x110), "arista7280", 0),
    "arista-64-tai": (lambda f, t: arista(f, t, 0x10), "arista7280", 0),
    "arista-48-utc": (lambda f, t: arista(f, t, 0x120), "arista7280", 0),
    "arista-48-tai": (lambda f, t: arista(f, t, 0x20), "arista7280", 0),
}
for name, (trailer, kind, synced) in CASES.items():
    frames = [trailer(frame, time_ns - LATE_NS) for time_ns, frame in original]
    path = write_pcap(name + ".pcap", [(original[i][0], f, len(f)) for i, f in enumerate(frames)])
    # Without the option nothing is different: the IP length cuts the trailer off.
    assert messages(path)[0] == want, name
    got, complaint = messages(path, "--trailer", kind)
    assert "capture's time" not in complaint, complaint
    assert [m[0] for m in got] == [m[0] for m in want] and [m[2] for m in got] == [m[2] for m in want], name
    off = {capture_time(w[1]) - capture_time(g[1]) for w, g in zip(want, got)}
    assert off == {LATE_NS}, (name, off)
    report, times = line_report(path, "--trailer", kind)
    assert times["tap"] == times["trailers"] == len(original), (name, times)
    assert times["synced"] == synced * len(original) and times["capture"] == times["none"] == 0, (name, times)
    for key in ("messages", "events", "events_by_kind", "books"):
        if key != "books":
            assert report[key] == want_report[key], (name, key)
    assert report["books"]["orders"] == want_report["books"]["orders"], name
    text = run("run", "--file", path, "--trailer", kind).stdout
    assert f"times: {len(original)} by a tap; clock in sync: {'all' if synced else 'not known of any'}" in text, text
    if shutil.which("tshark") and kind == "arista7280":
        see_arista(path, name)
    elif shutil.which("tshark"):
        seen = tshark_times(path, kind + "_eth", kind + (".time" if kind == "metamako" else ".timestamp"))
        assert len(seen) == len(original)
        for (time_ns, _), text in zip(original, seen):
            digits = text.split(".")[1].split(" ")[0]
            assert abs(int(digits[:9]) - (time_ns - LATE_NS) % 10**9) <= 1, (name, text, time_ns)
    print(f"{name}: {len(original)} packets with the tap's time")
if not shutil.which("tshark"):
    print("no tshark: its opinion is not asked")

# Of four packets one is sound, one far off, one damaged and one without; each is counted as it is.
mixed = []
for i, (time_ns, frame) in enumerate(original):
    data = (metamako(frame, time_ns - LATE_NS), metamako(frame, time_ns + 31 * 10**9),
            metamako(frame, time_ns)[:-12] + b"\xff" * 12, frame)[i % 4]
    mixed.append((time_ns, data, len(data)))
path = write_pcap("mixed.pcap", mixed)
got, complaint = messages(path, "--trailer", "metamako")
assert [m[2] for m in got] == [m[2] for m in want]
for w, g in zip(want, got):
    assert capture_time(w[1]) - capture_time(g[1]) == (LATE_NS if (g[0] - 1) % 4 == 0 else 0), (w, g)
report, times = line_report(path, "--trailer", "metamako")
quarter = [len(original[i::4]) for i in range(4)]
# Padding of a short frame has room for a trailer, and is none.
padding = sum(1 for _, frame in original[3::4]
              if len(frame) - 14 - struct.unpack_from(">H", frame, 16)[0] >= 16)
assert times["tap"] == times["trailers"] == quarter[0], times
assert times["capture"] == sum(quarter[1:]), times
assert times["trailers_implausible"] == quarter[1] + quarter[2] + padding, times
assert times["trailers_absent"] == quarter[3] - padding, times
text = run("run", "--file", path, "--trailer", "metamako").stdout
assert f"trailers: {quarter[0]} sound, {quarter[3] - padding} packets without, " in text, text

# A frame that the capture has cut has lost its trailer.
cut = [(t, metamako(f, t)[:-4], len(metamako(f, t))) for t, f in original]
report, times = line_report(write_pcap("cut.pcap", cut), "--trailer", "metamako")
assert times["trailers_absent"] == times["capture"] == len(original) and report["messages"] == 2000, times

# A replay goes by the tap's times: 60 ms, though the capture has all in one instant.
at_once = [(original[0][0], metamako(f, original[0][0] + i * 20 * 10**6)) for i, (_, f) in enumerate(original[:4])]
path = write_pcap("at_once.pcap", [(t, f, len(f)) for t, f in at_once])
for trailer, least in (("none", 0), ("metamako", 0.060)):
    summary = json.loads(run("replay", path, "--json", "--backend", "null", "--group", "239.1.1.1:26477",
                             "--trailer", trailer).stdout)
    assert summary["packets"] == 4 and summary["seconds"] >= least, (trailer, summary)
    assert summary["trailers"] == (4 if least else 0), (trailer, summary)
    assert summary["trailers_absent"] == summary["trailers_implausible"] == 0, summary

# What cannot have trailers says so.
complaint = run("run", "--group", "239.1.1.1:26477", "--interface", "lo", "--trailer", "metamako", status=2).stderr
assert "trailer is set; a socket does not see" in complaint, complaint
complaint = run("run", "--group", "239.1.1.1:26477", "--interface", "lo", "--trailer", "arista7280", status=2).stderr
assert "a header behind which this backend finds no packets" in complaint, complaint
complaint = run("dump", plain, "--trailer", "arista", status=2).stderr
assert "--trailer is 'arista'; it must be none, metamako, exablaze or arista7280" in complaint, complaint
FOLDER.cleanup()
