#!/usr/bin/env python3
"""Compare ways of bench_polls: rounds in which every way has its turn, ratios to the first way.

    polls.py BENCH_POLLS [--rate N] [--datagrams N] [--rounds N] [--instructions] WAY WAY...

Prints, per way, the median of ns per packet in polls that brought packets, and the median of the
rounds' ratios to the first way. --instructions also counts user instructions per packet under
valgrind, at a rate that it can follow. As root: every run makes a veth pair of its own.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

import machine


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    line = [l for l in result.stdout.splitlines() if l.startswith("{")]
    if result.returncode or not line:
        sys.exit(f"polls.py: {' '.join(command)}\n{result.stderr}")
    return json.loads(line[-1])


def instructions(program, way):
    """User instructions per packet of receive_batch and all that it calls. The program sleeps for
    about a batch between polls, so that there are next to none that bring nothing."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        figures = run(["valgrind", "--tool=callgrind", "--toggle-collect=receive_batch",
                       f"--callgrind-out-file={out}", program, "2000", "10000", way, "10000"])
        with open(out, encoding="utf-8") as file:
            total = int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M).group(1))
    return total / figures["packets"], figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("ways", nargs="+")
    parser.add_argument("--rate", default="100000")
    parser.add_argument("--datagrams", default="200000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instructions", action="store_true")
    options = parser.parse_args()
    print(json.dumps({"bench": "polls", "machine": machine.describe()}), flush=True)
    ns = {way: [] for way in options.ways}
    for _ in range(options.rounds):
        for way in options.ways:
            figures = run([options.program, options.rate, options.datagrams, way])
            ns[way].append(figures["ns"])
    for way in options.ways:
        ratios = [a / b for a, b in zip(ns[way], ns[options.ways[0]])]
        print(json.dumps({"bench": "polls", "way": way, "rate": int(options.rate),
                          "rounds": options.rounds, "ns": statistics.median(ns[way]),
                          "to_first": round(statistics.median(ratios), 3)}))
    if not options.instructions:
        return
    first = None
    for way in options.ways:
        count, figures = instructions(options.program, way)
        first = first or count
        print(json.dumps({"bench": "polls", "way": way, "instructions": round(count, 1),
                          "polls": figures["polls"], "empty": figures["empty"],
                          "to_first": round(count / first, 3)}))


main()
