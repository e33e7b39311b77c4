#!/usr/bin/env python3
"""How long a packet takes from the wire to the caller's code, by backend: the table of bench_latency's
figures, in microseconds from the moment at which a packet was due.

usage: latency.py [--build FOLDER] [--rates N,N] [--seconds S] [--rounds N] [WAY ...]

As root. A WAY is one of bench_latency's; without any, every backend that is built. Rounds are of one
process, in which every way has its turn; a percentile is the median of the rounds', the maximum is the
largest of all."""
import argparse
import json
import os
import subprocess
import sys

import machine

NAMES = {
    "socket": "`socket`",
    "io_uring": "`io_uring`",
    "xdp": "`xdp`",
    "dpdk//net_af_packet0,iface=rx0": "`dpdk`, net_af_packet",
    "dpdk//net_af_xdp0,iface=rx0": "`dpdk`, net_af_xdp",
    "dpdk/membership=off/net_memif": "`dpdk`, net_memif (no wire: shared memory)",
}
PERCENTILES = ["p50", "p99", "p99.9", "p99.99", "max"]


def is_built(build, way):
    backend = way.split("/", 1)[0]
    return backend == "socket" or os.path.exists(f"{build}/modules/mdfh_{backend}.so")


def measure(options, rate, ways):
    result = subprocess.run(
        [f"{options.build}/bench/bench_latency", str(rate), str(options.seconds), str(options.rounds), *ways],
        capture_output=True, text=True, check=False,
        timeout=60 + 2 * options.rounds * len(ways) * (options.seconds + 2))
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode or len(lines) != len(ways):
        sys.exit(f"latency.py: {result.stderr or result.stdout}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--rates", default="10000,100000", help="datagrams a second")
    parser.add_argument("--seconds", type=int, default=2, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("ways", nargs="*")
    options = parser.parse_args()
    ways = options.ways or [way for way in NAMES if is_built(options.build, way)]
    print(machine.describe())
    print(f"median of {options.rounds} rounds of {options.seconds} s each, in microseconds\n")
    print("| backend | datagrams/s | " + " | ".join(PERCENTILES) + " | lost |")
    print("| --- " * (len(PERCENTILES) + 3) + "|", flush=True)
    for rate in options.rates.split(","):
        for way, line in zip(ways, measure(options, int(rate), ways)):
            figures = " | ".join(f"{line['due_ns'][p] / 1000:.1f}" for p in PERCENTILES)
            print(f"| {NAMES.get(way, way)} | {int(rate):,} | {figures} | {line['lost']} |", flush=True)


if __name__ == "__main__":
    main()
