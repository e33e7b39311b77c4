"""wire_seeds.py FOLDER [CAPTURE...] - seeds for fuzz_frame, fuzz_flow, fuzz_xdp, fuzz_verbs, fuzz_igmp,
fuzz_trailer and fuzz_capture, one folder each.

Frames of every link type and of each kind that is told apart, datagrams behind headers of RDMA, queries and
reports of every version of IGMP and MLD, trailers of each kind, and small captures of each format, also
compressed; plus the first frames of the captures that are named."""
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


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


def igmp(destination, code, group, more=b"", kind=0x11):
    body = bytes([kind, code, 0, 0]) + group + more
    body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
    packet = ipv4(body, 2, options=b"\x94\4\0\0")
    return MACS + b"\x08\x00" + packet[:16] + destination + packet[20:]


def mld(destination, delay, group, more=b"", kind=130):
    body = bytes([kind, 0, 0, 0]) + struct.pack(">HH", delay, 0) + group + more
    addresses = b"\xfe\x80" + bytes(13) + b"\1" + destination
    total = checksum(addresses + struct.pack(">II", len(body), 58) + body)
    body = body[:2] + struct.pack(">H", total) + body[4:]
    return (MACS + b"\x86\xdd" + struct.pack(">IHBB", 0x60000000, 8 + len(body), 0, 1) + addresses +
            b"\x3a\0\5\2\0\0\1\0" + body)


def memberships():
    """Rows of frames for fuzz_igmp: each with the tenths of a second that pass before it."""
    all4, group4, ssm4 = b"\xe0\0\0\1", b"\xef\1\2\3", b"\xe8\1\1\1"
    all6, group6 = b"\xff\2" + bytes(13) + b"\1", b"\xff\x15" + bytes(13) + b"\1"
    ssm6 = b"\xff\x3e" + bytes(13) + b"\x08"
    general4 = igmp(all4, 100, bytes(4), b"\2\x7d\0\0")
    sources4 = igmp(ssm4, 10, ssm4, b"\2\x7d\0\2\x0a\x09\x08\7\x0a\x09\x08\6")
    asked4 = igmp(group4, 0xFF, group4, b"\2\xff\0\1\x0a\x09\x08\7")
    old4 = igmp(all4, 100, bytes(4))
    sources6 = mld(ssm6, 1000, ssm6, b"\2\x7d\0\1\x20\1\x0d\xb8" + bytes(11) + b"\1")
    rows = [[general4, sources4, asked4], [old4, igmp(group4, 0, group4, kind=0x16), igmp(group4, 10, group4)],
            [igmp(all4, 0, bytes(4)), general4], [general4[:12] + b"\x81\0\0\x8e" + general4[12:]],
            [mld(all6, 1000, bytes(16), b"\2\x7d\0\0"), sources6], [mld(all6, 0xFFFF, bytes(16)), mld(group6, 0, group6, kind=131)]]
    return [b"".join(struct.pack(">HB", len(data), 3) + data for data in row) for row in rows]


def trailers():
    """Inputs of fuzz_trailer: flags, seconds, then a frame with a trailer."""
    seconds = struct.pack(">I", 1700000000)
    frame = MACS + b"\x08\x00" + ipv4(UDP) + bytes(14)
    extensions = b"\1\2\3\4\5\6\7\x08\0\0\0\xa2" + b"tag!\0\0\0\x1f"
    for fcs in (b"", b"\xff\xee\xdd\xcc"):
        yield b"\1" + seconds + frame + b"fcs." + seconds + struct.pack(">IBHB", 5, 1, 7, 3) + fcs
        yield b"\3" + seconds + frame + b"fcs." + extensions + seconds + struct.pack(">IBHB", 5, 0x13, 7, 3) + fcs
        for version, stamp in ((0x110, seconds), (0x20, seconds[2:])):
            yield (b"\4" + seconds + MACS + b"\xd2\x8b" + struct.pack(">HH", 1, version) + stamp + struct.pack(">I", 5) +
                   frame[12:] + fcs)
        yield b"\2" + seconds + frame + b"fcs." + b"\7\3" + seconds + bytes(6) + fcs


def flows():
    """Inputs of fuzz_flow: flags, the port's flows, then what makes a frame, or one as it is."""
    table = bytes([5, 0x20, 0, 0x40, 0, 0x0A, 1, 0x63, 1, 0x07, 0]) + bytes(6)
    for chosen in range(8):
        yield b"\0" + table + bytes([chosen, 0, 20])
        yield b"\0" + table + bytes([chosen, 2, 20, 0, 20, 1, 0x80, 0, 0])
    frame = MACS + b"\x08\x00" + ipv4(UDP)
    yield b"\x08" + table + frame
    yield b"\x38" + table + frame + bytes(10)
    for data in trailers():
        yield bytes([0x08 | {1: 1, 3: 1, 4: 3, 2: 2}[data[0]]]) + table + data[5:]


def ports():
    """Inputs of fuzz_xdp and of fuzz_verbs as a raw port: a shape, then frames that come, are received, released."""
    frames = [data for link, data in FRAMES if link == 0]
    frames[1:1] = [MACS + b"\x08\x00" + ipv4(struct.pack(">HHHH", 15340, 14340, 8 + size, 0) + bytes(size)) for size in (20, 21, 40)]
    for shape in (0, 2, 6, 8, 17, 27):
        yield bytes([shape]) + b"".join(
            bytes([i & 1 | 8 | (i & 3) << 1, len(data)]) + data + (b"\x10\3" if i % 3 else b"") + (b"\x20\0" if i % 4 else b"")
            for i, data in enumerate(frames))


def datagrams():
    """Inputs of fuzz_verbs: datagrams behind a header of IPv4, of IPv6, and too short."""
    header = ipv4(b"", 17)
    header = bytes(20) + header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    for shape in (0, 4, 16, 21):
        out = bytes([shape])
        for flags, data in ((1, header), (3, header), (7, header), (11, header), (1, ipv6(b"")), (0, header), (1, bytes(39)), (0x81, b""),
                            (0xC1, b"")):
            out += bytes([flags, len(data) + 4 if data else 0]) + (data + b"data" if data else b"") + b"\x10\2\x20\0"
        yield out


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
    for name in ("frame", "flow", "xdp", "verbs", "igmp", "trailer", "capture"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)

    def put(kind, name, data):
        with open(os.path.join(folder, kind, name), "wb") as file:
            file.write(data)

    for i, (link, data) in enumerate(FRAMES):
        put("frame", f"frame{i}", bytes([link, 0, 0, 0]) + data)
        put("frame", f"frame{i}cut", bytes([link, 1, 0, 9]) + data[:-9])
    for i, data in enumerate(flows()):
        put("flow", f"flow{i}", data)
    for i, data in enumerate(ports()):
        put("xdp", f"port{i}", data)
        put("verbs", f"port{i}", bytes([data[0] | 2]) + data[1:])
    for i, data in enumerate(datagrams()):
        put("verbs", f"datagrams{i}", data)
    for i, row in enumerate(memberships()):
        put("igmp", f"row{i}", row)
    for i, data in enumerate(trailers()):
        put("trailer", f"trailer{i}", data)
    frames = [data for link, data in FRAMES if link == 0]
    files = {"ns.pcap": pcap(frames), "us.pcap": pcap(frames, 0xA1B2C3D4),
             "big-endian.pcap": pcap(frames, 0xA1B2C3D4, ">"), "a.pcapng": pcapng(frames)}
    for name, data in files.items():
        put("capture", name, data)
        put("capture", name + ".gz", gzip.compress(data, mtime=0))
        put("capture", name + ".members.gz", gzip.compress(data[:40], mtime=0) + gzip.compress(data[40:], mtime=0) + bytes(8))
        if shutil.which("zstd"):
            put("capture", name + ".zst", subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE,
                                                         check=True).stdout)
    for i, path in enumerate(captures):
        with open(path, "rb") as file:
            put("capture", f"real{i}", file.read(4096))


main(sys.argv[1], sys.argv[2:])
