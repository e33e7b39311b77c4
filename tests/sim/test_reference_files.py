#!/usr/bin/env python3
"""The reference book against books that others made of the same messages.

usage: test_reference_files.py REFERENCE_DUMP

REFERENCE_DUMP prints a summary of each symbol after a BinaryFILE. Two kinds of outside books:
a generator of days that writes its own final books (itchgen, compiled here), and captured days
with books derived by an independent implementation. Skipped (77) where neither is there."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77


def check(condition, what):
    if not condition:
        sys.exit(f"test_reference_files.py: {what}")


def summary(path):
    done = subprocess.run([sys.argv[1], str(path)], capture_output=True, text=True, timeout=120,
                          check=False)
    check(done.returncode == 0, f"{path}: exit status {done.returncode}: {done.stderr}")
    return done.stdout.splitlines()


def check_generated(source, folder):
    program = folder / "itchgen"
    subprocess.run(["cc", "-O2", "-w", "-o", str(program), str(source), "-lm"], check=True)
    for seed, messages, live in ((1, 200000, 50000), (2, 300000, 1500000), (3, 150000, 2000)):
        day, final = folder / "day.itch", folder / "FINAL.tsv"
        subprocess.run([program, day, str(messages), str(seed), str(live), final], check=True,
                       stderr=subprocess.DEVNULL)
        want = final.read_text().splitlines()
        # locate symbol bid_px bid_qty bid_n ask_px ask_qty ask_n bid_levels ask_levels
        # bid_total ask_total live
        got = [line.split("\t") for line in summary(day) if line[0].isdigit()]
        rows = [line.split("\t") for line in want[1:]]
        check(len(rows) > 1000, "a final book with symbols")
        by_locate = {row[0]: row for row in got}
        for row in rows:
            row[1] = row[1].rstrip()
            found = by_locate.get(row[0])
            check(found is not None and found[:13] == row, f"seed {seed}: {row} is {found}")
        print(f"itchgen seed {seed}: {len(rows)} symbols equal")


def check_captured(day, books):
    want = json.loads(books.read_text())
    lines = summary(day)
    errors = dict(line.split("\t")[1:] for line in lines if line.startswith("error"))
    check(sum(want["anomalies"].values()) == int(errors["unknown"]), f"{day}: {errors}")
    by_locate = {line.split("\t")[0]: line.split("\t") for line in lines if line[0].isdigit()}
    for locate, stock in want["stocks"].items():
        row = by_locate[locate]
        check(row[1] == stock["symbol"], f"{day}: {row}")
        check([int(row[8]), int(row[9])] == [stock["bid_levels"], stock["ask_levels"]], f"{row}")
        check([int(word) for word in row[2:5]] == stock["top_bids"][0], f"{day}: {row}")
        check([int(word) for word in row[5:8]] == stock["top_asks"][0], f"{day}: {row}")
        check(int(row[12]) == stock["orders"], f"{day}: {row}")
        check(int(row[13]) == stock["volume"], f"{day}: volume {row} {stock['volume']}")
        check(int(row[14]) == stock["trades"], f"{day}: trades {row} {stock['trades']}")
    print(f"{day.name}: {len(want['stocks'])} symbols equal")


def main():
    data = Path(os.environ.get("MDFH_DATA", "/nonexistent"))
    generator = data.parent / "tools" / "itchgen.c"
    captured = sorted((data / "itch50-binaryfile").glob("*.book.json"))
    done = 0
    with tempfile.TemporaryDirectory() as folder:
        if generator.exists() and shutil.which("cc"):
            check_generated(generator, Path(folder))
            done += 1
    for books in captured:
        check_captured(books.with_name(books.name.replace(".book.json", ".itch")), books)
        done += 1
    if not done:
        print("test_reference_files.py: neither itchgen nor captured days are there (MDFH_DATA)")
        sys.exit(SKIPPED)


main()
