"""wire_seeds.py FOLDER [CAPTURE...] - seeds for fuzz_frame and fuzz_capture, one folder each.

Frames of every link type and of each kind that is told apart, and small captures of each format,
also compressed; plus the first frames of the captures that are named."""
import gzip
import os
import shutil
import struct
import subprocess
import sys

UDP = struct.pack(">HHHH", 15340, 14340, 12, 0) + b"data"
TCP = struct.pack(">HHIIHHHH", 80, 81, 1, 2, 0x5018, 100, 0, 0) + b"data"


def ipv4(payload, protocol=17, fragment=0, options=b""):
    return struct.pack(">BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 1, fragment,
                       1, protocol, 0, b"\x0a\0\0\1", b"\xef\1\1\1") + options + payload


def ipv6(payload, following=17):
    return struct.pack(">IHBB", 0x60000000, len(payload), following, 1) + bytes(15) + b"\1\xff\2" + bytes(13) + b"\1" + payload


MACS = bytes(12)
EXTENSIONS = b"\x2b\0" + bytes(6) + b"\x3c\0" + bytes(6) + b"\x2c\0" + bytes(6) + b"\x11\0" + bytes(6)
FRAMES = [  # index into fuzz_frame's link types, bytes
    (0, MACS + b"\x08\x00" + ipv4(UDP)),
    (0, MACS + b"\x81\x00\0\x8e\x08\x00" + ipv4(UDP) + bytes(10)),
    (0, MACS + b"\x88\xa8\0\1\x81\x00\0\2\x86\xdd" + ipv6(UDP)),
    (0, MACS + b"\x08\x00" + ipv4(UDP, options=bytes(8))),
    (0, MACS + b"\x08\x00" + ipv4(UDP, fragment=0x2000)),
    (0, MACS + b"\x08\x00" + ipv4(TCP, 6)),
    (0, MACS + b"\x08\x06" + bytes(28)),
    (1, ipv4(UDP)),
    (1, ipv6(EXTENSIONS + UDP, 0)),
    (2, bytes(14) + b"\x08\x00" + ipv4(UDP)),
    (3, b"\x08\x00" + bytes(18) + ipv4(UDP)),
    (4, b"\2\0\0\0" + ipv4(UDP)),
    (5, b"\0\0\0\x1e" + ipv6(UDP)),
]


def pcap(frames, magic=0xA1B23C4D, order="<"):
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, 1)
    for i, data in enumerate(frames):
        out += struct.pack(order + "IIII", 1, i, len(data), len(data)) + data
    return out


def pcapng(frames):
    out = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    out += struct.pack("<IIHHIHHBxxxHHI", 1, 32, 1, 0, 65535, 9, 1, 9, 0, 0, 32)
    for i, data in enumerate(frames):
        padded = data + bytes(-len(data) % 4)
        total = 32 + len(padded)
        out += struct.pack("<IIIIIII", 6, total, 0, 0, i, len(data), len(data)) + padded + struct.pack("<I", total)
    return out


def main(folder, captures):
    for name in ("frame", "capture"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)

    def put(kind, name, data):
        with open(os.path.join(folder, kind, name), "wb") as file:
            file.write(data)

    for i, (link, data) in enumerate(FRAMES):
        put("frame", f"frame{i}", bytes([link, 0, 0, 0]) + data)
        put("frame", f"frame{i}cut", bytes([link, 1, 0, 9]) + data[:-9])
    frames = [data for link, data in FRAMES if link == 0]
    files = {"ns.pcap": pcap(frames), "us.pcap": pcap(frames, 0xA1B2C3D4),
             "big-endian.pcap": pcap(frames, 0xA1B2C3D4, ">"), "a.pcapng": pcapng(frames)}
    for name, data in files.items():
        put("capture", name, data)
        put("capture", name + ".gz", gzip.compress(data, mtime=0))
        if shutil.which("zstd"):
            put("capture", name + ".zst", subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE,
                                                         check=True).stdout)
    for i, path in enumerate(captures):
        with open(path, "rb") as file:
            put("capture", f"real{i}", file.read(4096))


main(sys.argv[1], sys.argv[2:])
