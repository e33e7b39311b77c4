#!/usr/bin/env python3
"""How long a packet takes from the wire to the caller's code, by backend: the table of bench_latency's
figures, in microseconds from the moment at which a packet was due.

usage: latency.py [--build FOLDER] [--rates N,N] [--seconds S] [--rounds N] [WAY ...]

As root. A WAY is one of bench_latency's; without any, every backend that is built. In a round every way
has its turn, each in a process of its own, with a wire of its own; a percentile is the median of the
rounds', the maximum is the largest of all."""
import argparse
import json
import os
import statistics
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


def measure(options, rate, way):
    result = subprocess.run(
        [f"{options.build}/bench/bench_latency", str(rate), str(options.seconds), "1", way],
        capture_output=True, text=True, check=False, timeout=60 + 2 * options.seconds)
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode or not lines:
        sys.exit(f"latency.py: {way}: {result.stderr or result.stdout}")
    return json.loads(lines[-1])


def report(rate, way, rounds):
    figures = [max(r["due_ns"]["max"] for r in rounds) if p == "max"
               else statistics.median(r["due_ns"][p] for r in rounds) for p in PERCENTILES]
    print(f"| {NAMES.get(way, way)} | {rate:,} | " + " | ".join(f"{f / 1000:.1f}" for f in figures) +
          f" | {sum(r['lost'] for r in rounds)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--rates", default="10000,100000", help="datagrams a second")
    parser.add_argument("--seconds", type=int, default=1, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("ways", nargs="*")
    options = parser.parse_args()
    ways = options.ways or [way for way in NAMES if is_built(options.build, way)]
    print(machine.describe())
    print(f"median of {options.rounds} rounds of {options.seconds} s each, in microseconds\n")
    print("| backend | datagrams/s | " + " | ".join(PERCENTILES) + " | lost |")
    print("| --- " * (len(PERCENTILES) + 3) + "|", flush=True)
    for rate in map(int, options.rates.split(",")):
        rounds = [{way: measure(options, rate, way) for way in ways} for _ in range(options.rounds)]
        for way in ways:
            report(rate, way, [r[way] for r in rounds])


if __name__ == "__main__":
    main()
