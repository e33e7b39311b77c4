#!/usr/bin/env python3
"""mdfh compare: what it finds, what it says last, and its exit status.

usage: test_compare.py MDFH"""

import subprocess
import sys
import tempfile
from pathlib import Path

BOOK = [
    "ALC\tB\t5100\t0\t12\t200",
    "ALC\tB\t5000\t0\t11\t100",
    "ALC\tB\t5000\t1\t14\t400",
    "ALC\tS\t5200\t0\t16\t20",
    "BOB.W\tS\t1\t0\t17\t30",
]


def check(condition, what):
    if not condition:
        sys.exit(f"test_compare.py: {what}")


def main():
    command = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        expected = Path(folder) / "expected"
        actual = Path(folder) / "actual"

        def compare(left, right, *options):
            expected.write_text("".join(line + "\n" for line in left))
            actual.write_text("".join(line + "\n" for line in right))
            done = subprocess.run([command, "compare", *options, str(expected), str(actual)],
                                  capture_output=True, text=True, timeout=60, check=False)
            return done.returncode, done.stdout.splitlines(), done.stderr

        status, lines, _ = compare(BOOK, BOOK)
        check((status, lines) == (0, ["simulator and handler agree: 2 symbols, 0 differences"]),
              f"equal dumps: {status} {lines}")

        # Two orders of one queue change places: two differences, each named.
        swapped = [BOOK[0], BOOK[1].replace("\t11\t100", "\t14\t400"),
                   BOOK[2].replace("\t14\t400", "\t11\t100"), *BOOK[3:]]
        status, lines, _ = compare(BOOK, swapped)
        check(status == 1 and lines == [
            "ALC buy price 5000 position 0: simulator has order 11 with 100 shares, "
            "handler has order 14 with 400 shares",
            "ALC buy price 5000 position 1: simulator has order 14 with 400 shares, "
            "handler has order 11 with 100 shares",
            "simulator and handler differ: 2 symbols, 2 differences"], f"swapped: {status} {lines}")

        # One order more, one less, in symbols that only one side has; names of our own.
        status, lines, _ = compare(BOOK[:4], BOOK[1:], "--left", "a", "--right", "b")
        check(status == 1 and lines == [
            "ALC buy price 5100 position 0: only a has order 12 with 200 shares",
            "BOB.W sell price 1 position 0: only b has order 17 with 30 shares",
            "a and b differ: 2 symbols, 2 differences"], f"one-sided: {status} {lines}")

        # At most 20 are shown, all are counted; shares alone make a difference.
        many = [f"X\tS\t{price}\t0\t{price}\t1" for price in range(1, 31)]
        status, lines, _ = compare(many, [line[:-1] + "2" for line in many])
        check(status == 1 and len(lines) == 22 and lines[-2] == "... and 10 more" and
              lines[-1] == "simulator and handler differ: 1 symbols, 30 differences",
              f"many: {status} {lines}")

        status, lines, _ = compare([], [])
        check((status, lines) == (0, ["simulator and handler agree: 0 symbols, 0 differences"]),
              f"empty: {status} {lines}")

        # What is no dump is refused, with file and line.
        for bad in (["ALC\tB\t5100\t0\t12"], ["ALC\tQ\t5100\t0\t12\t1"], ["ALC\tB\t1\t0\t12\t1x"],
                    [BOOK[0], BOOK[0]], [BOOK[1], BOOK[0]], [BOOK[4], BOOK[0]], [""],
                    ["ALC\tB\t1\t-1\t12\t1"], ["A" * 40 + "\tB\t1\t0\t12\t1"]):
            status, _, said = compare(BOOK, bad)
            check(status == 2 and f"{actual}:{len(bad)}:" in said, f"{bad}: {status} {said}")
        done = subprocess.run([command, "compare", str(expected), folder + "/none"],
                              capture_output=True, text=True, timeout=60, check=False)
        check(done.returncode == 2 and "No such file" in done.stderr, "a missing file")
        done = subprocess.run([command, "compare", str(expected)],
                              capture_output=True, text=True, timeout=60, check=False)
        check(done.returncode == 2, "one argument")


main()
