#!/usr/bin/env python3
"""The examples against the simulated exchange: what they print is what it sent.

usage: test_examples.py MDFH BASIC ADVANCED

(examples/ingest.c is held to the same by tests/install/test_outside.py.) Runs in a network namespace
of its own and needs the right to one (77 without it)."""
import json
import os
import re
import signal
import subprocess
import sys
import unittest

from own_namespace import enter

MDFH, BASIC, ADVANCED = sys.argv[1:4]
A, B = "239.1.1.1:26477", "239.1.1.2:26478"
CORE = str(min(os.sched_getaffinity(0)))


def start(*command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def sim(*options):
    done = subprocess.run([MDFH, "sim", "--interface", "lo", "--group", A, "--rate", "50000",
                           "--wait-for-listener", "60", "--linger", "0.3", "--json", *options],
                          capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


class Examples(unittest.TestCase):
    def test_basic(self):
        example = start(BASIC, "lo", "239.1.1.1", "26477")
        line = sim("--messages", "20000")["lines"][0]
        example.send_signal(signal.SIGINT)
        done = finish(example)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertRegex(lines[0], r"^packet 1: \d+ bytes, arrived at \d{19} ns$")
        packets, size, batches, dropped = map(int, re.findall(r"\d+", lines[3]))
        notices = line["heartbeats"] + line["ends_of_session"]
        self.assertEqual(packets, line["packets"] + notices)
        self.assertEqual(size, line["bytes"] + 20 * notices)
        self.assertLessEqual(batches, packets)
        self.assertEqual(dropped, 0)

    def test_basic_says_what_is_wrong(self):
        done = finish(start(BASIC, "nonesuch0", "239.1.1.1", "26477"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("nonesuch0", done.stderr)
        self.assertEqual(finish(start(BASIC)).returncode, 2)

    def advanced(self, *options):
        # However late a busy machine lets the exchange send line B.
        example = start(ADVANCED, "lo", CORE, A, B, "5000000")
        sent = sim("--group-b", B, *options)
        return sent, finish(example)

    def test_advanced(self):
        sent, done = self.advanced("--messages", "30000", "--drop-a", "10000ppm")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, rf"core {CORE} is on NUMA node -?\d+, lo on node -1")
        self.assertRegex(done.stdout, r"(?m)^receiving with (io_uring|socket)$")
        # Not with the first choice is not without a reason.
        if "receiving with socket" in done.stdout:
            self.assertRegex(done.stdout, r"(?m)^not with io_uring: .{20}")
        lines = done.stdout.splitlines()
        events, trades, lost = map(int, re.findall(r"\d+", lines[-1]))
        self.assertGreater(events, 30000)
        self.assertGreater(trades, 100)
        self.assertEqual(lost, 0) # line B had what line A had not
        self.assertEqual(sent["lost_on_both"], 0)

    def test_advanced_tells_of_losses(self):
        drop = "15000-15010"
        sent, done = self.advanced("--messages", "30000", "--drop-a", drop, "--drop-b", drop)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertGreaterEqual(sent["lost_on_both"], 11)
        self.assertTrue(done.stdout.splitlines()[-1].endswith(
            f" {sent['lost_on_both']} messages lost"), done.stdout)

    def test_advanced_ends_by_signal(self):
        example = start(ADVANCED, "lo", CORE, A)
        while not example.stdout.readline().startswith("0 packets"):
            self.assertIsNone(example.poll())
        example.send_signal(signal.SIGINT)
        done = finish(example)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0 events, 0 trades, 0 messages lost", done.stdout)


if __name__ == "__main__":
    enter()
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
