#!/usr/bin/env python3
"""mdfh dump on files made here: what it prints, and what it says of damage.

usage: test_dump.py MDFH

Captures, packets and messages are packed by hand with struct, so nothing of mdfh makes them.
"""
import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

MDFH = sys.argv[1]
NS = 34199999894278  # 09:29:59.999894278 in New York
SECONDS = 1692711000  # 2023-08-22 13:30 UTC


def run(*arguments, data=None):
    return subprocess.run([MDFH, "dump", *arguments], input=data, capture_output=True, check=False,
                          timeout=60)


def itch(type_, locate, *fields):
    """fields: (struct format, value) after the common header"""
    message = type_.encode() + struct.pack(">HH", locate, 0) + NS.to_bytes(6, "big")
    return message + b"".join(struct.pack(">" + f, v) for f, v in fields)


DIRECTORY = itch("R", 7, ("8s", b"IVOO    "), ("c", b"P"), ("c", b" "), ("I", 100), ("c", b"N"),
                 ("c", b"Q"), ("2s", b"I "), ("c", b"P"), ("c", b"N"), ("c", b" "), ("c", b"2"),
                 ("c", b"Y"), ("I", 3), ("c", b"N"))
ADD = itch("A", 7, ("Q", 23508286), ("c", b"B"), ("I", 1600), ("8s", b"IVOO    "), ("I", 873901))
EXECUTED = itch("E", 7, ("Q", 23508286), ("I", 25), ("Q", 255547))
DELETE = itch("D", 8, ("Q", 99))


def mold(messages, sequence=1, count=None):
    body = b"".join(struct.pack(">H", len(m)) + m for m in messages)
    return struct.pack(">10sQH", b"000010059B", sequence,
                       len(messages) if count is None else count) + body


def frame(payload, port=26477):
    udp = struct.pack(">HHHH", 49653, port, 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 1, 17, 0,
                     bytes([10, 0, 0, 1]), bytes([239, 1, 1, 1]))
    return bytes(12) + b"\x08\x00" + ip + udp


def pcap(frames):
    out = struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 65535, 1)
    for number, data in enumerate(frames):
        out += struct.pack("<IIII", SECONDS, number, len(data), len(data)) + data
    return out


def binaryfile(messages, end=True):
    return b"".join(struct.pack(">H", len(m)) + m for m in messages) + (b"\0\0" if end else b"")


CAPTURE = pcap([frame(mold([DIRECTORY, ADD])), frame(mold([EXECUTED, DELETE], 3)),
                frame(mold([], 5))])


class Dump(unittest.TestCase):
    def lines(self, *arguments, data=CAPTURE, status=0):
        result = run("-", *arguments, data=data)
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stdout.decode().splitlines()

    def objects(self, *arguments, **keywords):
        return [json.loads(line) for line in self.lines(*arguments, **keywords)]

    def test_text(self):
        lines = self.lines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[1],
                         "2023-08-22T13:29:59.999894278Z 2 add_order IVOO locate=7 tracking=0 "
                         "order_ref=23508286 side=buy shares=1600 price=87.3901")
        # The symbol of an execution is that of its locate code.
        self.assertEqual(lines[2],
                         "2023-08-22T13:29:59.999894278Z 3 order_executed IVOO locate=7 tracking=0 "
                         "order_ref=23508286 executed_shares=25 match_number=255547")
        self.assertIn(" 4 order_delete locate=8 ", lines[3])

    def test_json(self):
        add = self.objects("--json")[1]
        self.assertEqual(add["frame"], 1)
        self.assertEqual(add["index"], 1)
        self.assertEqual(add["captured"], "2023-08-22T13:30:00.000000000Z")
        self.assertEqual(add["source"], "10.0.0.1:49653")
        self.assertEqual(add["destination"], "239.1.1.1:26477")
        self.assertEqual(add["protocol"], "itch50")
        self.assertEqual(add["sequence"], 2)
        self.assertEqual(add["type"], "A")
        self.assertEqual(add["message"], "add_order")
        self.assertEqual(add["symbol"], "IVOO")
        self.assertEqual(add["time"], "2023-08-22T13:29:59.999894278Z")
        self.assertEqual(add["fields"], {
            "locate": 7, "tracking": 0, "timestamp": "2023-08-22T13:29:59.999894278Z",
            "order_ref": 23508286, "side": "buy", "shares": 1600, "stock": "IVOO",
            "price": 87.3901})

    def test_wire(self):
        records = self.objects("--wire")
        self.assertEqual([r["k"] for r in records], ["p", "m", "m", "p", "m", "m", "p"])
        self.assertEqual(records[0]["t"], "1692711000.000000000")
        self.assertEqual(records[0]["poff"], 42)
        self.assertEqual(records[0]["h"], [["session", 0, 10, "000010059B"],
                                           ["sequence_number", 10, 8, 1], ["message_count", 18, 2, 2]])
        add = records[2]
        self.assertEqual((add["p"], add["i"], add["seq"], add["off"], add["len"], add["type"]),
                         (1, 1, 2, 61, 38, "A"))
        self.assertEqual(add["f"][0], ["message_length", 61, 2, 36])
        self.assertEqual(add["f"][-1], ["price", 95, 4, 873901])
        self.assertEqual(records[6]["n"], 0)

    def test_filters(self):
        self.assertEqual(len(self.lines("--symbol", "IVOO")), 3)
        self.assertEqual(len(self.lines("--symbol", "IVO")), 0)
        self.assertEqual(len(self.lines("--type", "A")), 1)
        self.assertEqual(len(self.lines("--type", "order_delete", "--type", "E")), 2)
        self.assertEqual(len(self.lines("--seq", "2-3")), 2)
        self.assertEqual(len(self.lines("--seq", "4-")), 1)
        self.assertEqual(len(self.lines("--seq", "-1")), 1)
        self.assertEqual(len(self.lines("--limit", "3")), 3)
        # A packet is shown only for a message of it that is.
        self.assertEqual([r["k"] for r in self.objects("--wire", "--type", "D")], ["p", "m"])

    def test_bad_options(self):
        for arguments in (["--seq", "x", "-"], ["--seq", "3-2", "-"], ["--limit", "0", "-"],
                          ["--date", "2023-13-01", "-"], ["--protocol", "moldudp64", "-"], [],
                          ["a", "b"]):
            result = run(*arguments, data=b"")
            self.assertEqual(result.returncode, 2, arguments)
            self.assertTrue(result.stderr)
        self.assertIn(b"cme-mdp3", run("--help").stdout)

    def test_binaryfile_and_dates(self):
        data = binaryfile([DIRECTORY, ADD])
        with tempfile.TemporaryDirectory() as folder:
            dated = os.path.join(folder, "S01302019.NASDAQ_ITCH50.gz")
            iso = os.path.join(folder, "day-20190730.itch")
            plain = os.path.join(folder, "day.itch")
            for path, content in ((dated, gzip.compress(data)), (iso, data), (plain, data)):
                with open(path, "wb") as stream:
                    stream.write(content)
            # Standard time in January, daylight saving in July.
            self.assertTrue(run(dated).stdout.startswith(b"2019-01-30T14:29:59.999894278Z 1 "))
            self.assertTrue(run(iso).stdout.startswith(b"2019-07-30T13:29:59.999894278Z 1 "))
            undated = run(plain)
            self.assertTrue(undated.stdout.startswith(b"34199999894278 1 stock_directory IVOO"))
            self.assertIn(b"no session date", undated.stderr)
            self.assertEqual(undated.returncode, 0)
            self.assertTrue(run(plain, "--date", "2019-01-30").stdout.startswith(
                b"2019-01-30T14:29:59.999894278Z 1 "))
            record = json.loads(run(plain, "--wire").stdout.splitlines()[1])
        self.assertEqual((record["fo"], record["len"], record["seq"]), (41, 36, 2))
        self.assertEqual(record["f"][0], ["type", 0, 1, "A"])

    def test_cut_anywhere(self):
        """Whole messages before the cut are shown; a cut is never taken for an end."""
        for cut in range(24, len(CAPTURE)):
            result = run("-", "--wire", data=CAPTURE[:cut])
            whole = sum(cut >= end for end in (24 + 16 + 42 + 20 + 41 + 38,))
            messages = [l for l in result.stdout.splitlines() if b'"k":"m"' in l]
            if whole:
                self.assertGreaterEqual(len(messages), 2)
            for line in messages:
                json.loads(line)
            at_border = cut in (24, 24 + 157, 24 + 157 + 16 + 42 + 20 + 33 + 21)
            self.assertEqual(result.returncode, 0 if at_border else 1, cut)
        data = binaryfile([DIRECTORY, ADD])
        for cut in range(len(DIRECTORY) + 3, len(data)):
            result = run("-", data=data[:cut])
            self.assertEqual(len(result.stdout.splitlines()), 2 if cut >= 79 else 1)
            self.assertEqual(result.returncode, 0 if cut == 79 else 1, cut)

    def test_lies(self):
        # Two messages claimed, one there; one that runs past the payload; bytes left over.
        lines = self.lines(data=pcap([frame(mold([ADD]), 1), frame(mold([ADD], count=2), 1)]),
                           status=1)
        self.assertEqual(len(lines), 2)
        long = mold([ADD]) + struct.pack(">H", 500) + b"x" * 20
        long = long[:18] + struct.pack(">H", 2) + long[20:]
        self.assertEqual(len(self.lines(data=pcap([frame(mold([ADD])), frame(long)]), status=1)), 2)
        self.assertEqual(len(self.lines(data=pcap([frame(mold([ADD])), frame(mold([ADD]) + b"xx")]))),
                         2)

    def test_refused_messages_are_shown(self):
        data = pcap([frame(mold([ADD])), frame(mold([ADD[:20], itch("z", 1), DELETE], 2))])
        lines = self.lines(data=data, status=1)
        self.assertEqual(len(lines), 4)
        self.assertIn("add_order REFUSED (message too short) " + ADD[:20].hex(), lines[1])
        self.assertIn("unknown REFUSED (unknown message type)", lines[2])
        self.assertIn(" 4 order_delete", lines[3])
        objects = self.objects("--json", data=data, status=1)
        self.assertEqual(objects[2]["error"], "unknown message type")
        self.assertEqual(objects[2]["type"], "z")
        self.assertEqual(self.objects("--wire", data=data, status=1)[3]["f"],
                         [["message_length", 20, 2, 20]])
        stderr = run("-", data=data).stderr
        self.assertIn(b"1 messages refused: message too short", stderr)
        self.assertIn(b"1 messages refused: unknown message type", stderr)

    def test_longer_messages_are_read(self):
        data = pcap([frame(mold([ADD])), frame(mold([ADD + b"new"], 2))])
        self.assertEqual(len([l for l in self.lines(data=data) if "price=87.3901" in l]), 2)

    def test_what_is_not_recognised(self):
        result = run("-", data=pcap([frame(b"hello, world" * 3)]))
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"no recognised protocol", result.stderr)
        result = run("-", data=b"no capture and no day file" * 4)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"--protocol", result.stderr)
        # Told so, every packet is taken as the protocol.
        self.assertEqual(run("-", "--protocol", "itch50", data=pcap([frame(b"short")])).returncode, 1)

    def test_text_of_the_wire_is_escaped(self):
        evil = itch("A", 7, ("Q", 1), ("c", b"\x1b"), ("I", 1), ("8s", b'\x1b[2J"\\ '), ("I", 1))
        data = pcap([frame(mold([evil]))])
        self.assertNotIn(b"\x1b", run("-", data=data).stdout)
        self.assertEqual(self.objects("--json", data=data)[0]["fields"]["stock"], '\x1b[2J"\\')

    def test_broken_pipe_is_quiet(self):
        data = pcap([frame(mold([ADD] * 20)) for _ in range(2000)])
        with subprocess.Popen([MDFH, "dump", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            process.stdout.close()
            try:
                process.stdin.write(data)
                process.stdin.close()
            except BrokenPipeError:
                pass
            self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.wait(60), 0)

    def test_interrupt_ends_with_the_summary(self):
        with subprocess.Popen([MDFH, "dump", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            # Enough that the first line comes out, and less than a pipe holds.
            process.stdin.write(pcap([frame(mold([ADD] * 20)) for _ in range(8)]))
            process.stdin.flush()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
        self.assertIn(b"interrupted: ", stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
