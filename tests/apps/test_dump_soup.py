#!/usr/bin/env python3
"""mdfh dump of TCP captures with SoupBinTCP in them: every packet type, written by hand, and the real
captures against an independent dissector's fields, where the folder with them is present.

usage: test_dump_soup.py MDFH
"""
import glob
import json
import os
import struct
import subprocess
import sys
import tempfile

MDFH = sys.argv[1]
MACS = bytes(12)


def packet(kind, payload=b""):
    return struct.pack(">HB", len(payload) + 1, ord(kind)) + payload


def segment(payload, options=b""):
    tcp = struct.pack(">HHIIBBHHH", 40000, 9000, 1, 2, (20 + len(options)) // 4 << 4, 0x18, 100, 0, 0) + options
    return MACS + b"\x08\x00" + struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), 1, 0, 64, 6, 0,
                                            b"\x0a\0\0\1", b"\x0a\0\0\2") + tcp + payload


def dump(path, *options):
    result = subprocess.run([MDFH, "dump", *options, path], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout.splitlines(), result.stderr


def check(what, ok, detail=""):
    print(f"{'ok' if ok else 'FAILED'}: {what}" + (f"\n{detail}" if not ok else ""))
    if not ok:
        sys.exit(1)


def by_hand(folder):
    login = packet("L", b"bob   hunter2     DAY1" + b" " * 4 + b"%20d" % 7)
    accept = packet("A", b"DAY1".rjust(10) + b"%20d" % 7)
    long = bytes(range(256)) * 4
    segments = [login, accept + packet("S", b"\x01\x02") + packet("H"), packet("+", b"hi") + packet("U", long),
                packet("J", b"A"), packet("Z"), packet("R") + packet("O"),
                packet("S", b"cut")[:4], b"GET / HTTP/1.1\r\n", packet("S", b"x") + b"\0\0", b""]
    path = os.path.join(folder, "tcp.pcap")
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for i, payload in enumerate(segments):
            frame = segment(payload, bytes(12) if i % 2 else b"")
            file.write(struct.pack("<IIII", 1000, i, len(frame), len(frame)) + frame)
    status, lines, error = dump(path)
    check("ten packets are shown, other segments are not", status == 0 and len(lines) == 10 and "4 frames of other" in error
          and "10 SoupBinTCP" in error, "\n".join(lines) + error)
    check("a login's fields are there, but its password", "username=bob password=(hidden) requested_session=DAY1 "
          "requested_sequence_number=7" in lines[0] and "hunter2" not in "".join(lines), lines[0])
    check("the answer's, too", lines[1].endswith("login_accepted session=DAY1 sequence_number=7")
          and "10.0.0.1:40000 > 10.0.0.2:9000" in lines[1], lines[1])
    names = [line.split(" soupbintcp ")[1].split()[0] for line in lines]
    check("every type has its name", names == [
        "login_request", "login_accepted", "sequenced_data", "server_heartbeat", "debug", "unsequenced_data",
        "login_rejected", "end_of_session", "client_heartbeat", "logout_request"], str(names))
    status, lines, _ = dump(path, "--json")
    objects = [json.loads(line) for line in lines]
    check("JSON", objects[0]["password"] is None and objects[2]["message"] == "0x0102"
          and objects[5]["message"] == "0x" + long.hex(), lines[0])
    status, lines, _ = dump(path, "--wire")
    objects = [json.loads(line) for line in lines]
    check("wire: a record a segment", [len(o["h"]) for o in objects[:3]] == [6, 9, 6] and objects[0]["l4"] == "tcp"
          and ["password", 9, 10, "hunter2   "] in objects[0]["h"], lines[0])
    status, lines, _ = dump(path, "--limit", "2")
    check("--limit", len(lines) == 2, str(lines))
    status, lines, _ = dump(path, "--type", "S")
    check("filters of messages leave them out", not lines)


def captured(data):
    paths = sorted(glob.glob(os.path.join(data, "soupbintcp", "*.pcap")))
    for path in paths:
        with open(path[:-5] + ".jsonl") as file:
            want = json.loads(file.readline())
        status, lines, error = dump(path, "--wire")
        have = json.loads(lines[0])
        check(f"{os.path.basename(path)}: its packet", status == 0 and all(
            have[key] == want[key] for key in ("p", "t", "cap", "len", "l4", "src", "dst", "poff", "plen")), error)
        fields = {(f[1], f[2]): f[3] for f in have["h"]}
        message = next((f for f in have["h"] if f[0] == "message"), None)
        for name, offset, size, wire, *_ in want["h"]:
            if message and offset >= message[1]:
                at = 2 + 2 * (offset - message[1])
                part = message[3][at:at + 2 * size]
                wire = wire[2:] if wire.startswith("0x") else wire.encode().hex()
                check(f"  {name}", part == wire, f"{part} {wire}")
            else:
                check(f"  {name}", fields.get((offset, size)) == wire, f"{fields} {wire}")
    print(f"{len(paths)} captures")


with tempfile.TemporaryDirectory() as temporary:
    by_hand(temporary)
if os.path.isdir(os.environ.get("MDFH_DATA", "")):
    captured(os.environ["MDFH_DATA"])
else:
    print("MDFH_DATA has no captures: only what is written by hand was tested")
