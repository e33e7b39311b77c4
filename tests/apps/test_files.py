#!/usr/bin/env python3
"""One simulated day in files, through every command that reads files: they must agree.

- run --file keeps the exchange's books, from one line and from two lossy ones, and measures no
  latency against the time of a recording;
- loss that was injected is named so, to the last message, and the ledger balances;
- bench counts every message and ends with the exchange's books; it refuses what it cannot read;
- dump knows every packet; book and run say that a file is cut, of another protocol, or without
  the symbol asked for.

usage: test_files.py MDFH"""

import json
import os
import signal
import subprocess
import sys
import tempfile

MDFH = os.path.abspath(sys.argv[1])
A, B = "239.1.1.1:26477", "239.1.1.2:26478"
MESSAGES = 60000


def call(*arguments, status=0):
    done = subprocess.run([MDFH, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-500:], done.stderr)
    return done


def sim(*options):
    return json.loads(call("sim", "--messages", str(MESSAGES), "--seed", "5", "--json",
                           "--books-out", "sim.tsv", *options).stdout)


def run(*options, status=0):
    return json.loads(call("run", "--json", "--wait", "--books-out", "run.tsv", *options,
                           status=status).stdout)


def check_run():
    sim("--out", "one.pcapng")
    summary = run("--file", "one.pcapng")
    assert summary["messages"] == MESSAGES and summary["lost"] == 0, summary
    errors = {kind for kind, count in summary["books"]["errors"].items() if count}
    assert errors <= {"crossed"}, errors
    for stage in ("receive", "consumer"):
        assert summary["latency"][stage]["samples"] == 0, summary["latency"]
    call("compare", "sim.tsv", "run.tsv")

    # The same by a configuration; a table that is too small is told, and does no other harm.
    with open("feed.yaml", "w") as file:
        file.write("channels: [{protocol: itch50, lines: [{file: one.pcapng}]}]\n"
                   "instruments_max: 100\nconsumers: [{name: c, full: wait}]\n")
    summary = json.loads(call("run", "--json", "feed.yaml", status=1).stdout)
    assert summary["messages"] == MESSAGES and summary["events_by_kind"]["error"] > 0, summary
    assert summary["books"]["errors"]["instruments-full"] > 0, summary["books"]
    assert "; raise instruments_max" in call("run", "feed.yaml", status=1).stdout
    for kind in ("orders", "levels"):
        done = call("run", "--wait", "--file", "one.pcapng", f"--{kind}-max", "100", status=1)
        assert f"; raise {kind}_max (--{kind}-max)" in done.stdout, done.stdout

    sim("--out", "two.pcapng", "--group-b", B, "--drop-a", "20000ppm")
    summary = run("--file", "two.pcapng", "--group", A, "--group", B)
    lines = summary["channels"][0]["lines"]
    assert summary["lost"] == 0 and lines[0]["missing"] > 0 and lines[1]["delivered"] > 0, lines
    call("compare", "sim.tsv", "run.tsv")


def check_injected():
    for options in (["--file", "one.pcapng", "--inject-loss", "10000"],
                    ["--file", "two.pcapng", "--group", A, "--group", B, "--inject-loss", "50000"]):
        summary = run(*options, status=1)
        channel = summary["channels"][0]
        assert summary["lost"] > 0, options
        if "--group" not in options:
            assert channel["lost_by_cause"] == {"injected": summary["lost"]}, channel["lost_by_cause"]
        assert summary["messages"] + summary["lost"] == MESSAGES, summary
        assert summary["events_by_kind"]["gap"] > 0
        call("compare", "sim.tsv", "run.tsv", status=1)


def check_bench():
    made = sim("--out", "day.itch")
    for name in ("decode", "book", "pipeline"):
        done = call("bench", name, "day.itch").stdout
        assert done.count("\n") == 1, done
        result = json.loads(done)
        assert result["messages"] == MESSAGES and result["ns_per_message"] > 1, result
        assert result["memory_bytes"] > 0 and "page_faults" in result, result
        if name != "decode":
            assert result["checksum"] == made["checksum"], (result, made)
        assert result.get("events", MESSAGES) >= MESSAGES, result
        assert "no BinaryFILE" in call("bench", name, "one.pcapng", status=2).stderr
    cores = [json.loads(line) for line in call("bench", "cores", "day.itch").stdout.splitlines()]
    assert [line["arrangement"] for line in cores] == ["hand-over", "one thread", "1 worker", "2 workers",
                                                       "two queues"], cores
    assert all(line["checksum"] == made["checksum"] for line in cores[1:]), (cores, made)
    assert all(line["ns_per_message"] > 1 and line["receive_ns"] > 1 for line in cores), cores


def check_what_is_wrong():
    done = call("dump", "one.pcapng")
    assert done.stdout.count("\n") == MESSAGES and "no recognised protocol" not in done.stderr
    for name in ("one.pcapng", "day.itch"):
        with open(name, "rb") as whole, open("cut-" + name, "wb") as cut:
            cut.write(whole.read()[:500004])
        done = call("book", "cut-" + name, status=1)
        assert "cut" in done.stderr or "ends inside" in done.stderr, done.stderr
        call("dump", "cut-" + name, status=1)
    sim("--out", "holes.pcapng", "--drop-a", "20000ppm")
    assert "messages are missing" in call("book", "holes.pcapng", status=1).stderr
    assert not call("book", "holes.pcapng", "--seq", "1").stderr
    # Right before the first hole nothing is missing yet.
    sim("--out", "hole.pcapng", "--drop-a", "150-160")
    came = {json.loads(line)["sequence"] for line in call("dump", "--json", "--seq", "-200", "hole.pcapng").stdout.splitlines()}
    hole = min(set(range(1, 201)) - came)
    assert not call("book", "hole.pcapng", "--seq", str(hole - 1), "--books-out", "hole.tsv").stderr
    assert "messages are missing" in call("book", "hole.pcapng", "--seq", "200", status=1).stderr
    assert "symbol 'NOPE'" in call("run", "--wait", "--file", "one.pcapng", "--symbol", "NOPE").stdout
    assert "NOPE" in call("book", "day.itch", "--symbol", "NOPE", status=1).stderr
    with open("feed.yaml", "w") as file:
        file.write("channels: [{protocol: itch50, lines: [{file: one.pcapng}]}]\n"
                   "consumers: [{name: c}, {name: tap, kind: raw, full: wait, slots: 64}]\n")
    assert "consumer 'tap' is to be waited for" in call("run", "feed.yaml", status=2).stderr
    call("run", "--check", "feed.yaml")
    with open("other.itch", "wb") as other:
        other.write(b"\x00\x05hello" * 100 + b"\x00\x00")
    assert "no message of ITCH 5.0" in call("book", "other.itch", status=2).stderr
    for command in ("backends", "bench", "book", "compare", "conformance", "dump", "replay", "run", "sim"):
        done = call(command, "--no-such-option", status=2)
        assert "no-such-option" in done.stderr, done.stderr
        assert call(command, "--help").stdout.startswith(f"Usage: mdfh {command}")


def check_interrupt():
    """A capture at recorded speed, interrupted: books and summary as far as it came."""
    process = subprocess.Popen([MDFH, "run", "--file", "one.pcapng", "--speed", "0.001", "--print",
                                "--json", "--books-out", "run.tsv"], stdout=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    assert "session-begin" in first, first
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=30)
    summary = json.loads(text[text.index("\n{") + 1 if "\n{" in text else text.index("{"):])
    assert process.returncode == 0 and summary["messages"] < MESSAGES, summary
    assert os.path.exists("run.tsv")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for part in (check_run, check_injected, check_bench, check_what_is_wrong, check_interrupt):
        part()
        print("ok:", part.__name__)
