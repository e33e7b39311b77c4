#!/usr/bin/env python3
"""The tools as their users run them: what they print, what they count, how they end.

usage: test_tools.py SIMPLE_BYPASS_TEST KERNEL_BYPASS_SIMULATION_TEST

Runs in a network namespace of its own and needs the right to one (77 without it)."""
import json
import os
import signal
import socket
import subprocess
import sys
import unittest

from own_namespace import enter

SIMPLE, SIMULATION = sys.argv[1:3]
GROUP = "239.255.1.1"
STAGES = ("total", "send", "wire", "receive", "ring")
PERCENTILES = ("min", "p50", "p90", "p99", "p99_9", "p99_99", "max")


def command(*options):
    return [SIMULATION, *map(str, options)]


def run(*options):
    return subprocess.run(command(*options), capture_output=True, text=True, timeout=60, check=False)


def start(*options):
    return subprocess.Popen(command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def finish(process):
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Tool(unittest.TestCase):
    def ends(self, done, status):
        self.assertEqual(done.returncode, status, f"{done.args}: {done.stdout} {done.stderr}")
        return done

    def summary(self, done, status=0):
        lines = self.ends(done, status).stdout.splitlines()
        self.assertEqual(len(lines), 1)
        return json.loads(lines[0])

    def consistent(self, report):
        """Whatever happened, the numbers must add up."""
        received = report["received"]
        self.assertEqual(received["expected"] - received["messages"], received["lost"])
        self.assertEqual(report["ok"], received["lost"] == 0 and
                         (received["end_mark"] or "sent" in report or report["interrupted"]))
        for stage in STAGES:
            figures = received["latency_ns"].get(stage)
            if not figures:
                continue
            values = [figures[name] for name in PERCENTILES]
            # A percentile is the upper end of its bucket, of a thousandth of its value.
            for low, high in zip(values, values[1:]):
                self.assertLessEqual(low, high * 1.001 + 1, f"{stage}: {figures}")
            self.assertGreater(figures["samples"], 0)
        self.assertEqual(received["latency_ns"]["total"]["samples"], received["messages"])
        if "sent" in report:
            sent = report["sent"]
            self.assertEqual(sent["scheduled"] - sent["messages"], sent["never_sent"])
            self.assertEqual(sent["bytes"], sent["messages"] * report["message_size"])
            self.assertEqual(sent["messages"], received["expected"])
            self.assertEqual(sent["lateness_ns"]["samples"], sent["messages"])
            self.assertEqual(received["message_bytes"],
                             received["messages"] * report["message_size"])

    def whole(self, report, messages):
        self.consistent(report)
        received = report["received"]
        self.assertEqual(received["messages"], messages)
        self.assertTrue(received["end_mark"])
        for name in ("lost", "duplicates", "reordered", "damaged", "malformed", "foreign",
                     "incomplete"):
            self.assertEqual(received[name], 0, name)
        self.assertEqual(received["dropped_packets"]["socket"] or 0, 0)


class Runs(Tool):
    def test_simple(self):
        done = subprocess.run([SIMPLE], capture_output=True, text=True, timeout=60, check=False)
        lines = self.ends(done, 0).stdout.splitlines()
        self.assertRegex(lines[-1], r"^\d+ passed, 0 failed, 0 skipped$")
        for transport in ("udp", "multicast", "tcp"):
            for step in ("data flow", "reception", "statistics", "ingestion"):
                self.assertEqual(len([line for line in lines if line.startswith("PASS") and
                                      transport in line and step in line]), 1, (transport, step))

    def test_simple_says_what_is_wrong(self):
        done = subprocess.run([SIMPLE, "--backend", "nonesuch"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.ends(done, 1)
        self.assertIn("nonesuch", done.stdout)
        self.assertIn(" 0 passed", " " + done.stdout.splitlines()[-1])
        done = subprocess.run([SIMPLE, "--transport", "pigeon"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.ends(done, 2)
        self.assertIn("pigeon", done.stderr)

    def test_each_transport(self):
        for transport in ("tcp", "udp", "multicast"):
            report = self.summary(run("--transport", transport, "--rate", 20000, "--duration", 0.5,
                                      "--backend", "asio", "--json", "-q"))
            self.assertEqual(report["transport"], transport)
            self.assertEqual(report["backend"], "socket")
            self.whole(report, 10000)
            self.assertEqual(report["sent"]["messages"], 10000)
            self.assertEqual(report["received"]["connects"], int(transport == "tcp"))
            # Open loop: what should take half a second takes that and no less.
            self.assertGreater(report["sent"]["seconds"], 0.499)

    def test_every_shape(self):
        for size, batch, transport in ((48, 1, "udp"), (1472, 3, "udp"), (8972, 1, "udp"),
                                       (333, 1000, "tcp"), (8972, 7, "tcp"), (49, 30, "multicast")):
            report = self.summary(run("--transport", transport, "--rate", 5000, "--max-messages",
                                      1001, "--message-size", size, "--batch-size", batch, "--port",
                                      9001 if transport == "multicast" else 0, "--json", "-q"))
            self.whole(report, 1001)

    def test_burst_and_spin_and_cores(self):
        core = min(os.sched_getaffinity(0))
        report = self.summary(run("--transport", "udp", "--rate", 20000, "--burst", 10,
                                  "--duration", 0.5, "--cpu-core", core, "--server-cpu",
                                  max(os.sched_getaffinity(0)), "--spin", "--warmup", 0.1, "--json",
                                  "-q", "--port", 0))
        samples = report["received"]["latency_ns"]["total"]["samples"]
        self.assertEqual(report["received"]["lost"], 0)
        # A fifth is left out of the latencies.
        self.assertLess(samples, 9000)
        self.assertGreater(samples, 7000)

    def test_text(self):
        done = self.ends(run("--transport", "udp", "--rate", 1000, "--duration", 1.2, "-v"), 0)
        self.assertIn("nothing was lost: 1,200 of 1,200 messages came", done.stdout)
        self.assertRegex(done.stdout, r"latency +samples +p50 +p90 +p99 +p99.9 +p99.99 +max")
        self.assertRegex(done.stderr, r"1 s .* sent .* received .* messages/s")

    def test_a_module(self):
        folder = os.path.join(os.path.dirname(os.path.realpath(SIMULATION)), "modules")
        if not os.path.exists(os.path.join(folder, "mdfh_io_uring.so")):
            return  # not in this build: liburing is an option
        done = self.ends(run("--backend", "io_uring", "--transport", "tcp", "--port", 0, "-q"), 2)
        self.assertIn("transport is TCP", done.stderr)
        for transport in ("udp", "multicast"):
            report = self.summary(run("--backend", "io_uring", "--transport", transport, "--rate",
                                      20000, "--duration", 0.5, "--json", "-q"))
            self.assertEqual(report["backend"], "io_uring")
            self.whole(report, 10000)
        self.ends(run("--backend", os.path.join(folder, "mdfh_io_uring.so"), "--transport", "udp",
                      "--rate", 5000, "--duration", 0.2), 0)
        done = subprocess.run([SIMPLE, "--backend", "io_uring"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertIn("8 passed, 0 failed, 1 skipped", self.ends(done, 0).stdout)


class Losses(Tool):
    def test_injected(self):
        report = self.summary(run("--transport", "udp", "--rate", 50000, "--duration", 0.5,
                                  "--inject-loss-ppm", 20000, "--json", "-q"), 1)
        self.consistent(report)
        received = report["received"]
        # Ten messages a packet, and an end mark that goes missing is no message.
        self.assertGreater(received["lost"], 0)
        self.assertEqual(received["lost"] % 10, 0)
        packets = received["lost"] // 10
        self.assertLessEqual(packets, received["dropped_packets"]["injected"])
        self.assertLessEqual(received["dropped_packets"]["injected"], packets + 10)
        # The same seed, the same faults, message for message.
        again = self.summary(run("--transport", "udp", "--rate", 50000, "--duration", 0.5,
                                 "--inject-loss-ppm", 20000, "--json", "-q"), 1)
        self.assertEqual(again["received"]["lost"], received["lost"])

    def test_everything_lost(self):
        done = self.ends(run("--transport", "udp", "--rate", 1000, "--duration", 0.2,
                             "--inject-loss-ppm", 1000000, "-q"), 1)
        self.assertIn("LOST 200 of 200 messages", done.stdout)

    def test_other_faults(self):
        report = self.summary(run("--transport", "udp", "--rate", 50000, "--duration", 0.5,
                                  "--inject-duplicate-ppm", 20000, "--inject-reorder-ppm", 20000,
                                  "--json", "-q"))
        self.consistent(report)
        self.assertGreater(report["received"]["duplicates"], 0)
        self.assertGreater(report["received"]["reordered"], 0)
        report = self.summary(run("--transport", "udp", "--rate", 50000, "--duration", 0.5,
                                  "--inject-damage-ppm", 20000, "--json", "-q"), 1)
        self.consistent(report)
        received = report["received"]
        self.assertGreater(received["damaged"], 0)
        # One bit each: no message that was damaged passed for sound, none other was lost with it
        # unless the packet could not be read on.
        self.assertGreaterEqual(received["lost"], received["damaged"])
        self.assertLessEqual(received["lost"],
                             received["damaged"] + 10 * received["malformed"])

    def test_a_buffer_that_is_too_small(self):
        report = self.summary(run("--transport", "udp", "--rate", 100000, "--duration", 0.5,
                                  "--batch-size", 5000, "--receive-buffer", 4096, "--json", "-q"), 1)
        self.consistent(report)
        self.assertGreater(report["received"]["dropped_packets"]["socket"], 0)
        done = self.ends(run("--transport", "udp", "--rate", 100000, "--duration", 0.5,
                             "--batch-size", 5000, "--receive-buffer", 4096, "-q"), 1)
        self.assertIn("packets dropped by the full socket buffer", done.stdout)

    def test_a_rate_that_is_too_high(self):
        """What is left when the server gives up, 5 s after the last was due, is no success."""
        report = self.summary(run("--transport", "udp", "--port", 0, "--rate", 10000000, "--duration",
                                  3, "--batch-size", 1, "--json", "-q"), 1)
        received = report["received"]
        self.assertFalse(report["ok"])
        self.assertGreater(report["sent"]["never_sent"], 0)
        self.assertEqual(report["sent"]["messages"] - received["messages"], received["lost"])

    def test_a_client_that_comes_late(self):
        port = free_port()
        server = start("--server-only", "--transport", "udp", "--port", port, "--start-delay", 0,
                       "--rate", 2000, "--duration", 6, "-q")
        # Datagrams that have gone nowhere show that it sends.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(("127.0.0.1", port))
            listener.settimeout(20)
            listener.recv(4096)
        report = self.summary(run("--client-only", "--transport", "udp", "--port", port, "--json",
                                  "-q"), 1)
        self.ends(finish(server), 0)
        self.consistent(report)
        received = report["received"]
        self.assertGreater(received["lost_before_first"], 0)
        self.assertGreaterEqual(received["lost"], received["lost_before_first"])
        self.assertEqual(received["expected"], 12000)

    def test_a_server_that_dies(self):
        port = free_port(socket.SOCK_STREAM)
        server = start("--server-only", "--port", port, "--rate", 2000, "--duration", 60, "-q")
        client = start("--client-only", "--port", port, "--duration", 60)
        for line in client.stderr:
            if "received" in line: # the line of a second
                break
        server.kill()
        server.communicate()
        done = self.ends(finish(client), 1)
        self.assertIn("no end mark came", done.stdout)

    def test_a_client_that_dies(self):
        port = free_port(socket.SOCK_STREAM)
        server = start("--server-only", "--port", port, "--rate", 2000, "--duration", 60, "-q")
        client = start("--client-only", "--port", port, "--duration", 60)
        for line in client.stderr:
            if "received" in line:
                break
        client.kill()
        client.communicate()
        done = self.ends(finish(server), 1)
        self.assertIn("the client has gone", done.stderr)


class TwoProcesses(Tool):
    def test_each_transport(self):
        for transport in ("tcp", "udp", "multicast"):
            port = free_port(socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
            where = ("--transport", transport, "--port", port, "--json")
            client = start("--client-only", *where)
            self.assertIn("waiting for", client.stderr.readline())
            server = run("--server-only", *where, "--start-delay", 0, "--rate", 10000,
                         "--duration", 0.5)
            sent = self.summary(server)
            report = self.summary(finish(client))
            self.assertEqual(sent["mode"], "server")
            self.assertNotIn("received", sent)
            self.assertEqual(report["mode"], "client")
            self.assertNotIn("sent", report)
            self.assertEqual(sent["sent"]["messages"], 5000)
            self.whole(report, 5000)

    def test_interrupted(self):
        both = start("--transport", "tcp", "--port", 0, "--rate", 2000, "--duration", 60, "--json")
        self.assertIn("received", both.stderr.readline())
        both.send_signal(signal.SIGINT)
        report = self.summary(finish(both))
        self.consistent(report)
        self.assertTrue(report["interrupted"])
        self.assertTrue(report["received"]["end_mark"])
        self.assertGreater(report["sent"]["never_sent"], 0)

        port = free_port()
        client = start("--client-only", "--transport", "udp", "--port", port)
        client.stderr.readline()
        server = start("--server-only", "--transport", "udp", "--port", port, "--start-delay", 0,
                       "--rate", 2000, "--duration", 60, "-q")
        self.assertIn("received", client.stderr.readline())
        client.send_signal(signal.SIGTERM)
        self.assertIn("interrupted", self.ends(finish(client), 0).stdout)
        server.send_signal(signal.SIGINT)
        self.assertIn("never sent: interrupted", self.ends(finish(server), 0).stdout)


class Refusals(Tool):
    def refuses(self, *options, says):
        done = self.ends(run(*options), 2)
        self.assertEqual(done.stdout, "")
        for text in (says,) if isinstance(says, str) else says:
            self.assertIn(text, done.stderr)

    def test_options(self):
        self.refuses("--rate", 0, says=("rate", "'0'", "from 1 to 10000000"))
        self.refuses("--rate", "fast", says="'fast'")
        self.refuses("--rate", "nan", says="'nan'")
        self.refuses("--duration", -1, says="'-1'")
        self.refuses("--transport", "sctp", says=("'sctp'", "tcp, udp or multicast"))
        self.refuses("--message-size", 47, says=("'47'", "from 48 to 8972"))
        self.refuses("--batch-size", 0, says="batch-size")
        self.refuses("--port", 65536, says="'65536'")
        self.refuses("--server-only", "--client-only", says="exclude each other")
        self.refuses("--client-only", "--port", 0, says="port is 0")
        self.refuses("--transport", "udp", "--group", GROUP, says="multicast")
        self.refuses("--nonesuch", says="nonesuch")
        self.refuses("asio", says="'asio'")
        self.assertIn("--backend", run("--help").stdout)
        self.assertIn("kernel_bypass_simulation_test 0.", run("--version").stdout)

    def test_places(self):
        self.refuses("--backend", "nonesuch", says="nonesuch")
        self.refuses("--backend", "/nonesuch/mdfh_x.so", says="/nonesuch/mdfh_x.so")
        self.refuses("--modules", "/nonesuch", says="/nonesuch")
        self.refuses("--host", "localhost", says="localhost")
        self.refuses("--transport", "udp", "--rx-ring-size", 100, says=("rx_ring_size", "100"))
        self.refuses("--transport", "udp", "--cpu-core", 1000, says="1000")
        self.refuses("--transport", "udp", "--server-cpu", 1000, says="1000")
        self.refuses("--transport", "multicast", "--interface", "nonesuch0", says="nonesuch0")
        self.refuses("--transport", "multicast", "--server-only", "--group", "224.0.0.1",
                     says=("224.0.0.1", "--transmit"))
        self.refuses("--transport", "tcp", "--inject-loss-ppm", 1, says="TCP")

    def test_port_in_use(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            self.refuses("--transport", "udp", "--port", port, says=(str(port), "in use"))
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.refuses("--port", port, says=(str(port), "in use"))
            self.refuses("--server-only", "--port", port, "-q", says=(str(port), "in use"))

    def test_nobody_there(self):
        port = free_port(socket.SOCK_STREAM)
        self.refuses("--client-only", "--port", port, "--wait", 1, "-q",
                     says=(str(port), "Connection refused", "start the server"))
        self.refuses("--client-only", "--transport", "udp", "--port", port, "--wait", 1, "-q",
                     says=(str(port), "start the server"))
        self.refuses("--server-only", "--port", port, "--wait", 1, "-q",
                     says=(str(port), "start the client"))
        self.refuses("--server-only", "--transport", "multicast", "--wait", 1, "-q",
                     says=(GROUP, "start the client"))


if __name__ == "__main__":
    enter()
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
