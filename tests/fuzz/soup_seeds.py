"""soup_seeds.py FOLDER [CAPTURE...] - seeds for fuzz_soup: logins, every packet type, cuts; and the
TCP payloads of the captures that are named, as bytes for either end."""
import os
import struct
import sys


def packet(kind, payload=b""):
    return struct.pack(">HB", len(payload) + 1, ord(kind)) + payload


def accept(number, session=b"DAY1"):
    return packet("A", session.rjust(10) + b"%20d" % number)


def login(number, user=b"user", password=b"secret", session=b""):
    return packet("L", user.ljust(6) + password.ljust(10) + session.rjust(10) + b"%20d" % number)


def steps(*parts, time=1):
    return b"".join(struct.pack(">HB", len(part), time) + part for part in parts)


def cut(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def payloads(path):
    """TCP payloads of an Ethernet/IPv4 pcap."""
    with open(path, "rb") as file:
        data = file.read()
    at = 24
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        header = 14 + (frame[14] & 15) * 4
        length = 14 + struct.unpack_from(">H", frame, 16)[0]
        yield frame[header + (frame[header + 12] >> 4) * 4:length]


def main(folder, captures):
    data = packet("S", b"message one") + packet("S", b"m2") + packet("H") + packet("U", b"u") + packet("S")
    client = {
        "day": accept(1) + data + packet("Z"),
        "mixed": accept(1) + packet("S", b"one") + packet("U", b"two") + packet("S", b"three") + packet("+", b"four"),
        "debug": packet("+", b"hello") + accept(7) + packet("+"),
        "refused": packet("J", b"A"), "gone": packet("J", b"S"), "strange": packet("J", b"?"),
        "zero": accept(1) + b"\0\0", "type": accept(1) + packet("?"), "state": data,
        "number": accept(0), "largest": accept(2**64 - 1) + data, "long": accept(1) + b"\xff\xffS" + bytes(500),
    }
    server = {
        "in": login(1) + packet("R") + packet("U", b"order") + packet("O"),
        "newest": packet("+") + login(0), "high": login(2**64 - 1), "wrong": login(1, b"other"),
        "session": login(1, session=b"DAY2"), "mine": login(1, session=b"FUZZ"), "state": packet("R"),
        "twice": login(1) + login(1), "zero": login(1) + b"\0\0", "number": packet("L", b"x" * 46),
    }
    os.makedirs(folder, exist_ok=True)

    def put(name, content):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)

    for side, inputs in enumerate((client, server)):
        for name, content in inputs.items():
            put(f"{side}-{name}", bytes([side]) + steps(content))
            put(f"{side}-{name}-cut", bytes([side]) + steps(*cut(content, 5)))
    for i, path in enumerate(captures):
        for k, payload in enumerate(payloads(path)):
            put(f"real{i}-{k}-client", b"\0" + steps(accept(1), payload))
            put(f"real{i}-{k}-server", b"\1" + steps(login(1), payload))


main(sys.argv[1], sys.argv[2:])
