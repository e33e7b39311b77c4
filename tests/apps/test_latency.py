#!/usr/bin/env python3
"""Where time goes, as mdfh run shows and logs it; a sender that stalls on the way.

usage: test_latency.py MDFH

The simulator is stopped for 200 ms in the middle. It sends late what was due meanwhile, so from arrival on
nothing was slow: only the stage that counts from the intended time shows it, with all the messages that were
late. The log is read here by its format's description, and adds up to the summary.

Runs in a network namespace of its own (as root, or with a user namespace)."""
import base64
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

MDFH = sys.argv[1]
STAGES = ["wire", "receive", "session", "decode", "book", "ring", "consumer", "intended"]
RATE = 20000
SECONDS = 4
STALL_MS = 200


def enter_namespace():
    if os.environ.get("MDFH_TEST_INSIDE"):
        subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
        subprocess.run(["ip", "route", "add", "239.0.0.0/8", "dev", "lo"], check=True)
        return
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "-U", "-r", "--net"]
    if subprocess.run(unshare + ["true"], capture_output=True).returncode != 0:
        print("no network namespace can be made here (unshare --net is refused)")
        sys.exit(77)
    os.environ["MDFH_TEST_INSIDE"] = "1"
    os.execvp(unshare[0], unshare + [sys.executable] + sys.argv)


def check(what, ok, detail=""):
    print(f"{'ok' if ok else 'FAILED'}: {what}" + (f"\n{detail}" if not ok else ""))
    if not ok:
        sys.exit(1)


def counts(text):
    """(highest value of its bucket, count) of each bucket that has any: HdrHistogram's V2 encoding."""
    packed = base64.b64decode(text, validate=True)
    cookie, length = struct.unpack_from(">II", packed)
    assert cookie == 0x1c849314 and length == len(packed) - 8
    plain = zlib.decompress(packed[8:])
    cookie, length, offset, digits, lowest = struct.unpack_from(">IIIIQ", plain)
    assert (cookie, offset, digits, lowest) == (0x1c849313, 0, 3, 1) and length == len(plain) - 40
    found, bucket, at = [], 0, 40
    while at < len(plain):
        raw = shift = 0
        while True:
            byte = plain[at]
            at += 1
            if shift == 56:
                raw |= byte << 56
                break
            raw |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        value = -(raw + 1) // 2 if raw & 1 else raw // 2
        if value < 0:
            bucket -= value
            continue
        if value:
            power = max(bucket // 1024 - 1, 0)
            found.append((((bucket - power * 1024 + 1) << power) - 1, value))
        bucket += 1
    return found


def read_log(path):
    with open(path) as file:
        lines = file.read().splitlines()
    assert lines[0] == "#[Histogram log format version 1.3]", lines[0]
    entries = []
    for line in lines:
        match = re.fullmatch(r"Tag=(\w+),([\d.]+),([\d.]+),([\d.]+),(\S+)", line)
        if match:
            entries.append((match[1], float(match[2]), float(match[3]), float(match[4]), counts(match[5])))
    return entries


def wait_for_intervals(path, n, process):
    """Until n intervals had events in them: the sender is in the midst of it."""
    for _ in range(600):
        if os.path.exists(path) and len(re.findall(r"Tag=intended,[\d.]+,[\d.]+,[\d.]*[1-9]", open(path).read())) >= n:
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    check("the log grows while it runs", False)


def stalled(folder):
    log = os.path.join(folder, "latency.hlog")
    run = subprocess.Popen([MDFH, "run", "--json", "--seconds", "60", "--latency-sample", "1", "--latency-log", log,
                            "--latency-interval", "300", "--interface", "lo", "--group", "239.1.1.1:26477"],
                           stdout=subprocess.PIPE, text=True)
    sim = subprocess.Popen([MDFH, "sim", "--interface", "lo", "--group", "239.1.1.1:26477", "--rate", str(RATE),
                            "--seconds", str(SECONDS), "--symbols", "100", "--burst", "1", "--wait-for-listener", "60",
                            "--json"], stdout=subprocess.PIPE, text=True)
    wait_for_intervals(log, 2, run)
    sim.send_signal(signal.SIGSTOP)
    time.sleep(STALL_MS / 1000)
    sim.send_signal(signal.SIGCONT)
    sent = json.loads(sim.communicate(timeout=60)[0])
    summary = json.loads(run.communicate(timeout=60)[0])
    check("all came", run.returncode == 0 and summary["lost"] == 0, summary)
    latency = summary["latency"]
    check("every stage was timed", list(latency) == STAGES and all(latency[s]["samples"] for s in STAGES), latency)
    check("every event counts from its intended time",
          sum(summary["events_by_kind"].values()) - latency["intended"]["samples"] < 100, summary)
    check("the stall shows in full", latency["intended"]["max_ns"] >= STALL_MS * 1e6, latency)
    check("it cannot be seen from the arrival on", latency["consumer"]["p99_ns"] < latency["intended"]["p99_ns"], latency)
    check("all was sent", sent["messages"] == RATE * SECONDS, sent)

    entries = read_log(log)
    check("a line per stage and interval", [e[0] for e in entries] == STAGES * (len(entries) // 8), entries)
    starts = [e[1:3] for e in entries[::8]]
    check("intervals follow each other", all(abs(a[0] + a[1] - b[0]) < 0.002 for a, b in zip(starts, starts[1:])), starts)
    check("they are as long as asked for", all(0.25 <= length < 5 for _, length in starts[:-1]), starts)
    for stage in STAGES:
        logged = sum(n for e in entries if e[0] == stage for _, n in e[4])
        check(f"{stage}: the log has every sample", logged == latency[stage]["samples"], (logged, latency[stage]))
    late = sum(n for e in entries if e[0] == "intended" for value, n in e[4] if value > STALL_MS / 2 * 1e6)
    check("half of what was due meanwhile was later than half of the stall", late >= 0.4 * RATE * STALL_MS / 1000, late)
    worst = max(e[3] for e in entries if e[0] == "intended")
    check("the largest value is in its line, in ms", abs(worst - latency["intended"]["max_ns"] / 1e6) <= worst / 500,
          (worst, latency["intended"]))


def refused(folder):
    for options, words in (
            (["--latency-log", "/dev/full"], ["/dev/full", "No space left", "make room"]),
            (["--latency-log", os.path.join(folder, "no", "such")], ["no/such", "No such file"]),
            (["--latency-interval", "500"], ["--latency-log"]),
            (["--latency-log", "x", "--latency-interval", "5"], ["latency-interval", "'5'", "100"])):
        done = subprocess.run([MDFH, "run", "--interface", "lo", "--group", "239.1.1.1:26477", "--seconds", "0.1", *options],
                              capture_output=True, text=True, timeout=60)
        check(f"refused: {' '.join(options)}", done.returncode == 2 and all(w in done.stderr for w in words), done)


enter_namespace()
with tempfile.TemporaryDirectory() as name:
    stalled(name)
    refused(name)
