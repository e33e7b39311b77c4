#!/usr/bin/env python3
"""What mdfh adds to DPDK: packets a second through the backend dpdk over net_memif, beside dpdk-testpmd
in its mode rxonly on the same device, sent by dpdk-testpmd txonly. Both count packets and release them.

With --feed, what a message costs: a day of ITCH 5.0 over MoldUDP64 comes as fast as it is taken, first
only to be received, then the whole way to order books and events, which must be the exchange's.

usage: memif.py [--build FOLDER] [--seconds S] [--repeat N] [--size BYTES] [--feed] [--messages N]

The sender has core 0, the receiver core 1. A pair of runs is one after the other; the ratio that is
printed is the median of the pairs'."""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import machine

ADDRESS, PORT = "198.18.0.2", 9  # what testpmd sends to
GROUP = "239.77.0.1"


def testpmd(core, folder, role, *arguments):
    device = f"net_memif0,role={role},socket={folder}/memif,socket-abstract=no"
    return ["dpdk-testpmd", f"--lcores=0@{core},1@{core}", "--no-huge", "-m", "256", "--iova-mode=va",
            "--no-shconf", "--no-pci", "--no-telemetry", f"--vdev={device}", "--", "--no-mlockall",
            "--total-num-mbufs=16384", "--auto-start", "--rxd=1024", "--txd=1024", *arguments]


class Sender:
    """Sends from its start to its end."""

    def __init__(self, folder, size):
        self.process = subprocess.Popen(
            testpmd(0, folder, "server", "--forward-mode=txonly", f"--txpkts={size}",
                    f"--tx-ip=198.18.0.1,{ADDRESS}", f"--tx-udp={PORT}", "--stats-period=100"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            if "start packet forwarding" in line or "txonly packet forwarding" in line:
                return
        sys.exit("memif.py: dpdk-testpmd does not send")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=20)


def run_mdfh(options, folder):
    command = ["taskset", "-c", "1", f"{options.build}/bench/bench_count", "dpdk",
               f"net_memif0,role=client,socket={folder}/memif,socket-abstract=no", ADDRESS, str(PORT),
               str(options.seconds), "membership=off"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=options.seconds + 60,
                            check=False)
    if result.returncode:
        sys.exit(f"memif.py: {result.stderr}")
    return json.loads(result.stdout)["packets_per_s"]


def run_testpmd(options, folder):
    """Packets a second by its own account, each second's but the first."""
    command = ["timeout", str(options.seconds + 5),
               *testpmd(1, folder, "client", "--forward-mode=rxonly", "--stats-period=1")]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=options.seconds + 60, check=False)
    rates = [int(rate) for rate in re.findall(r"Rx-pps:\s+(\d+)", result.stdout)]
    rates = [rate for rate in rates if rate][1:]
    if not rates:
        sys.exit(f"memif.py: dpdk-testpmd received nothing:\n{result.stdout}{result.stderr}")
    return statistics.median(rates)


def feed(options):
    """ns per message of a day that is received, and of the same with its books; the exchange's checksum
    must come out."""
    folder = tempfile.mkdtemp(prefix="mdfh-bench-")
    device = f"socket={folder}/memif,socket-abstract=no"
    program = f"{options.build}/bench/bench_feed"
    date = time.strftime("%Y-%m-%d")
    try:
        day = f"{folder}/day.pcap"
        made = json.loads(subprocess.run(
            [f"{options.build}/src/apps/mdfh", "sim", "--out", day, "--messages", str(options.messages),
             "--date", date, "--json"], capture_output=True, text=True, check=True).stdout)
        figures = {}
        for what, more in (("count", []), ("books", [date])):
            with subprocess.Popen(["taskset", "-c", "0", program, "send", day,
                                   f"net_memif0,role=server,{device}", GROUP, str(PORT)]) as sender:
                time.sleep(1)
                result = subprocess.run(
                    ["taskset", "-c", "1", program, what, f"net_memif0,role=client,{device}", GROUP,
                     str(PORT), str(options.messages), *more], capture_output=True, text=True, timeout=90,
                    check=False)
                if result.returncode:
                    sender.kill()
                    sys.exit(f"memif.py: {result.stderr}")
            figures[what] = json.loads(result.stdout)
    finally:
        shutil.rmtree(folder)
    if figures["books"]["checksum"] != made["checksum"]:
        sys.exit("memif.py: the books are not the exchange's")
    return figures


def run_feed(options):
    rounds = []
    for i in range(options.repeat):
        rounds.append(feed(options))
        count, books = (rounds[-1][what]["ns_per_message"] for what in ("count", "books"))
        print(f"{i + 1}: received {count:.1f}, with books {books:.1f} ns a message", flush=True)
    count, books = (statistics.median(r[what]["ns_per_message"] for r in rounds)
                    for what in ("count", "books"))
    added = statistics.median(r["books"]["ns_per_message"] - r["count"]["ns_per_message"] for r in rounds)
    per_packet = rounds[0]["books"]["messages"] / rounds[0]["books"]["packets"]
    print(f"median of {len(rounds)}: {1e3 / books:.2f} million messages/s with decoding and books equal to "
          f"the exchange's, {per_packet:.1f} messages a packet; {books:.1f} ns a message, of which receiving "
          f"takes {count:.1f} and the rest adds {added:.1f}")


def run_packets(options):
    ratios = []
    for i in range(options.repeat):
        rates = []
        for run in (run_testpmd, run_mdfh):
            folder = tempfile.mkdtemp(prefix="mdfh-bench-")
            try:
                with Sender(folder, options.size):
                    rates.append(run(options, folder))
            finally:
                shutil.rmtree(folder)
        ratios.append(rates[1] / rates[0])
        print(f"{i + 1}: testpmd {rates[0] / 1e6:.2f}, mdfh {rates[1] / 1e6:.2f} million packets/s: "
              f"{ratios[-1]:.3f}", flush=True)
    print(f"median of {len(ratios)}: {statistics.median(ratios):.3f} of dpdk-testpmd, packets of "
          f"{options.size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--size", type=int, default=128, help="bytes of a frame")
    parser.add_argument("--feed", action="store_true", help="decode, and keep books")
    parser.add_argument("--messages", type=int, default=3000000, help="of the day, with --feed")
    options = parser.parse_args()
    print(machine.describe(), flush=True)
    if options.feed:
        run_feed(options)
        return
    if not shutil.which("dpdk-testpmd"):
        sys.exit("memif.py: dpdk-testpmd is not there; install Debian's package dpdk")
    run_packets(options)


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    main()
