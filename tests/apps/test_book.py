#!/usr/bin/env python3
"""mdfh book against books that others made.

- a generated day ends with the books that its generator kept, for several seeds; its checksum does
  not depend on how it is read; --check finds nothing; --at and --seq stop where they say;
- a deliberately imperfect file gives the state and the counts that an independent
  implementation derived (ITCH 5.0, BinaryFILE and the same messages in MoldUDP64).

Needs $MDFH_DATA and the generator beside it; says so and exits with 77 where they are not there."""

import json
import os
import subprocess
import sys
import tempfile

mdfh = sys.argv[1]
data = os.environ.get("MDFH_DATA", "")
generator = os.path.join(data, "..", "tools", "itchgen.c")
failures = 0


def run(*arguments, status=0):
    done = subprocess.run([mdfh, *arguments], capture_output=True, text=True, timeout=300)
    if done.returncode != status:
        fail(f"{arguments}: status {done.returncode}, not {status}: {done.stderr}")
    return done.stdout


def fail(text):
    global failures
    failures += 1
    print("FAILED:", text)


def expect(what, have, want):
    if have != want:
        fail(f"{what}: {have!r}, not {want!r}")


def generated(folder, seed):
    day = os.path.join(folder, f"day{seed}.itch")
    final = os.path.join(folder, f"final{seed}.tsv")
    subprocess.run([os.path.join(folder, "itchgen"), day, "200000", str(seed), "20000", final],
                   check=True, stderr=subprocess.DEVNULL)
    with open(final) as f:
        want = f.read()
    expect(f"seed {seed}: books at the end", run("book", day, "--all", "--tsv") == want, True)
    check = run("book", day, "--check").splitlines()
    counts = dict(line.split() for line in check[:-1])
    expect(f"seed {seed}: --check", [k for k, v in counts.items() if v != "0"], ["messages"])
    executions, text = check[-1].split(" ", 1)
    expect(f"seed {seed}: verdict", text, "executions, 0 not at the head of the queue")
    expect(f"seed {seed}: executions", int(executions) > 1000, True)

    dumps = [os.path.join(folder, name) for name in ("a", "b")]
    run("book", day, "--seq", "100000", "--books-out", dumps[0])
    cut = os.path.join(folder, "cut.itch")
    with open(day, "rb") as f:
        content = f.read()
    at = 0
    for _ in range(100000):
        at += 2 + int.from_bytes(content[at:at + 2], "big")
    with open(cut, "wb") as f:
        f.write(content[:at])
    run("book", cut, "--books-out", dumps[1])
    with open(dumps[0]) as a, open(dumps[1]) as b:
        lines = a.read()
        expect(f"seed {seed}: --seq", lines == b.read(), True)
    expect(f"seed {seed}: orders at --seq", lines.count("\n") > 1000, True)
    # A symbol alone has the book that it has among the others.
    symbol = lines.split("\t", 1)[0]
    run("book", day, "--seq", "100000", "--symbol", symbol, "--books-out", dumps[1])
    with open(dumps[1]) as b:
        want = "".join(x for x in lines.splitlines(True) if x.startswith(symbol + "\t"))
        expect(f"seed {seed}: --symbol {symbol}", b.read(), want)
    expect(f"seed {seed}: --at before the first order",
           run("book", day, "--at", "03:30:00", "--json"), "")


def imperfect(path):
    with open(os.path.join(data, "itch50-binaryfile/ritch-artificial-0001-7000.book.json")) as f:
        want = json.load(f)
    books = [json.loads(x) for x in run("book", path, "--json", "--depth", "10").splitlines()]
    expect("symbols", len(books), len(want["stocks"]))
    for book in books:
        stock = want["stocks"][str(book["locate"])]
        expect("symbol", book["symbol"], stock["symbol"])
        for key in ("volume", "trades", "bid_levels", "ask_levels"):
            expect(f"{book['symbol']} {key}", book[key], stock[key])
        for side, name in (("bids", "top_bids"), ("asks", "top_asks")):
            have = [[round(x["price"] * 10000), x["quantity"], x["orders"]] for x in book[side]]
            expect(f"{book['symbol']} {side}", have, stock[name])
    counts = dict(x.split() for x in run("book", path, "--check", status=1).splitlines()[:-1])
    expect("unknown orders", int(counts["unknown-order"]), sum(want["anomalies"].values()))
    for kind in ("duplicate-order", "over-execution", "over-reduction", "missing-messages"):
        expect(kind, counts[kind], "0")
    live = sum(int(x.split("\t")[-1])
               for x in run("book", path, "--tsv").splitlines()[1:])
    expect("open orders", live, want["open_orders"])


def main():
    missing = [p for p in (data, generator) if not os.path.exists(p)]
    if missing:
        print("skipped: not there:", *missing)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-w", "-o",
                        os.path.join(folder, "itchgen"), generator, "-lm"], check=True)
        for seed in (1, 2, 3):
            generated(folder, seed)
    imperfect(os.path.join(data, "itch50-binaryfile/ritch-artificial-0001-7000.itch"))
    imperfect(os.path.join(
        data, "itch50-moldudp64/ritch-artificial-0001-7000-synthetic-framing.pcap"))
    return 1 if failures else 0


sys.exit(main())
