#!/usr/bin/env python3
"""A receive thread with workers, on every backend: the books of two feeds are the exchange's, whether their
messages are divided by channel or by instrument.

usage: test_workers.py MDFH MODULES BACKEND...

As root, in a network namespace of the test's own, over a veth pair; backends that are not in this build are passed
over. Each feed has two lines, and line A lacks every 20th packet. With dpdk the exchange sends through net_memif,
too."""
import ctypes
import difflib
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_filters as frames  # noqa: E402  frames, devices, runs
from test_filters import check  # noqa: E402

FEEDS = {"first": ("239.1.1.1", 26477, "239.1.1.2", 26478), "second": ("239.1.2.1", 26577, "239.1.2.2", 26578)}
MESSAGES = {"first": 12000, "second": 6000}

CONFIG = """
session_date: 2026-11-20
threads: [{{name: rx, workers: {workers}, shard: {shard}}}]
channels:
  - name: first
    protocol: itch50
    thread: auto
    weight: 2
    lines: [{{{where}, group: "239.1.1.1:26477"}}, {{{where}, group: "239.1.1.2:26478"}}]
  - name: second
    protocol: itch50
    thread: auto
    lines: [{{{where}, group: "239.1.2.1:26577"}}, {{{where}, group: "239.1.2.2:26578"}}]
consumers:
  - {{name: strategy, full: wait}}
"""


def rows(path):
    return sorted(line for line in frames.read(path).splitlines() if line.count("\t") == 5)


def make_feeds(mdfh):
    """Frames of both feeds, one behind the other by turns."""
    streams = []
    for seed, (name, (group_a, port_a, group_b, port_b)) in enumerate(FEEDS.items()):
        subprocess.run([mdfh, "sim", "--messages", str(MESSAGES[name]), "--symbols", "40", "--seed", str(seed + 1),
                        "--group", f"{group_a}:{port_a}", "--group-b", f"{group_b}:{port_b}", "--out", name + ".pcap",
                        "--books-out", name + ".tsv", "--date", "2026-11-20", "--burst", "1"],
                       check=True, capture_output=True, timeout=60)
        groups = {port_a: group_a, port_b: group_b}
        stream = [frames.make_frame(payload, groups[port], port, ())
                  for i, (port, payload) in enumerate(frames.payloads(name + ".pcap"))
                  if port != port_a or i % 20]
        streams.append(stream)
    mixed = []
    for i in range(max(map(len, streams))):
        mixed += [stream[i] for stream in streams if i < len(stream)]
    frames.write_capture("mixed.pcap", mixed)
    return mixed


def check_run(name, shard, want, got, summary):
    channels, threads = summary["channels"], summary["threads"]
    check(f"{name} by {shard}: nothing was lost", summary["lost"] == 0 and
          [c["messages"] for c in channels] == list(MESSAGES.values()), json.dumps(summary, indent=1))
    check(f"{name} by {shard}: line B filled the holes of line A",
          all(c["lines"][0]["missing"] > 0 and c["lines"][1]["delivered"] > 0 for c in channels))
    check(f"{name} by {shard}: both workers worked, and are told of", len(threads) == 3 and
          threads[0]["workers"] == 2 and threads[0]["sharded"] == shard and
          all(t["messages"] > 2000 and t["dropped"] == 0 and 0 < t["busy"] <= 1 for t in threads[1:]),
          json.dumps(threads, indent=1))
    check(f"{name} by {shard}: the books are the exchange's",
          rows("got.books") == sorted(rows("first.tsv") + rows("second.tsv")))
    # Their order inside a shard is looked at where channels can be told apart: tests/handler/test_workers.c.
    check(f"{name} by {shard}: the events are those of one thread, each once",
          sorted(got.splitlines()) == sorted(want.splitlines()),
          "\n".join(list(difflib.unified_diff(sorted(want.splitlines()), sorted(got.splitlines()), lineterm=""))[:30]))


def run_memif(mdfh, modules):
    memif = f"socket={os.getcwd()}/memif.sock,socket-abstract=no,rsize=12"
    lines = ["--group", "239.1.1.1:26477", "--group", "239.1.1.2:26478"]
    handler = subprocess.Popen(
        [mdfh, "--modules", modules, "run", "--backend", "dpdk", "--interface", f"net_memif0,role=client,{memif}",
         *lines, "--workers", "2", "--shard", "instrument", "--seconds", "60", "--json", "--books-out", "got.books"],
        stdout=subprocess.PIPE, text=True)
    sim = subprocess.run(
        [mdfh, "--modules", modules, "sim", "--backend", "dpdk", "--interface", f"net_memif0,role=server,{memif}",
         "--wait-for-listener", "30", "--start-delay", "1", "--group", lines[1], "--group-b", lines[3], "--rate",
         "20000", "--messages", "20000", "--linger", "0.5", "--books-out", "memif.tsv"],
        capture_output=True, text=True, timeout=90)
    summary = json.loads(handler.communicate(timeout=90)[0])
    check("net_memif: the exchange sent", sim.returncode == 0, sim.stderr)
    check("net_memif: everything arrived at two workers", summary["messages"] == 20000 and summary["lost"] == 0 and
          all(t["messages"] > 2000 for t in summary["threads"][1:]), json.dumps(summary, indent=1))
    check("net_memif: the books are the exchange's", rows("got.books") == rows("memif.tsv"))


def main(mdfh, modules, backends):
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(frames.CLONE_NEWNET):
        print("skipped: making a network namespace needs root")
        return 77
    frames.make_devices()
    here = [backend for backend in backends if frames.is_here(mdfh, modules, backend)]
    mixed = make_feeds(mdfh)
    pcap = frames.WHERE["pcap"]
    # What is right: one thread, from a capture.
    want, summary = frames.run_file(mdfh, modules, "want", CONFIG.format(
        where=pcap, workers=0, shard="default"))
    check("one thread: the books are the exchange's", summary["lost"] == 0 and
          rows("want.books") == sorted(rows("first.tsv") + rows("second.tsv")), json.dumps(summary, indent=1))
    for name, where in frames.WHERE.items():
        if name.split(",")[0] not in here:
            continue
        for shard in ("instrument", "channel"):
            config = CONFIG.format(where=where, workers=2, shard=shard)
            if name == "pcap":
                got, summary = frames.run_file(mdfh, modules, "got", config)
            else:
                got, summary = frames.run_live(mdfh, modules, "got", config, mixed)
            check_run(name, shard, want, got, summary)
    if "dpdk" in here:
        run_memif(mdfh, modules)
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        program, where_modules = (os.path.abspath(path) for path in sys.argv[1:3])
        os.chdir(folder)
        sys.exit(main(program, where_modules, sys.argv[3:]))
