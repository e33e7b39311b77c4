#!/usr/bin/env python3
"""The whole way: exchange simulator -> two multicast lines -> feed handler -> books.

usage: test_end_to_end.py MDFH CASE

Runs in a network namespace of its own (as root, or with a user namespace). CASE:
  agree     nothing is lost, books agree order by order; a lossy line A is healed by line B
  io_uring  the same, received through that module
  options   a configuration file, a subscription, JSON; an end by signal, with the summary
  controls  what must be noticed: one packet lost on both lines, one flipped price, one swapped
            pair in a queue
  jumbo     payloads of 8972 bytes, with frames that are too short and long enough
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

MDFH, CASE = sys.argv[1], sys.argv[2]
MODULES = os.path.join(os.environ["MDFH_BUILD"], "modules")
A, B = "239.1.1.1:26477", "239.1.1.2:26478"


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


def start_run(folder, name, *options):
    out = open(os.path.join(folder, name + ".json"), "w+")
    command = [MDFH, "run"]
    if CASE == "io_uring":
        command = [MDFH, "--modules", MODULES, "run", "--backend", "io_uring"]
    process = subprocess.Popen(
        [*command, "--json", "--seconds", "60", "--books-out",
         os.path.join(folder, name + ".tsv"), *options], stdout=out)
    return process, out


def finish_run(process, out):
    status = process.wait(timeout=90)
    out.seek(0)
    return status, json.loads(out.read())


def wait_for_handler(process):
    """Until it catches SIGINT."""
    while int(re.search(r"SigCgt:\s*(\w+)", open(f"/proc/{process.pid}/status").read())[1], 16) & 2 == 0:
        assert process.poll() is None
        time.sleep(0.001)


def simulate(folder, *options, messages=100000, rate=50000, seed=7):
    result = subprocess.run(
        [MDFH, "sim", "--interface", "lo", "--group", A, "--group-b", B, "--rate", str(rate),
         "--messages", str(messages), "--symbols", "500", "--seed", str(seed), "--wait-for-listener",
         "60", "--linger", "0.5", "--burst", "3", "--json", "--books-out", os.path.join(folder, "exchange.tsv"),
         *options], capture_output=True, text=True, timeout=120)
    check("the simulator ran", result.returncode == 0, result.stderr)
    return json.loads(result.stdout)


def compare(folder, name):
    result = subprocess.run([MDFH, "compare", os.path.join(folder, "exchange.tsv"),
                             os.path.join(folder, name)], capture_output=True, text=True)
    return result.returncode, result.stdout.strip().splitlines()[-1]


def both_lines(*more):
    return ["--protocol", "itch50", "--interface", "lo", "--group", A, "--group", B, *more]


def agree(folder):
    process, out = start_run(folder, "handler", *both_lines())
    sim = simulate(folder, "--drop-a", "20000ppm")
    status, summary = finish_run(process, out)
    channel = summary["channels"][0]
    check("nothing was lost", status == 0 and summary["lost"] == 0, json.dumps(summary, indent=1))
    check("every message arrived", summary["messages"] == sim["messages"],
          f"{summary['messages']} of {sim['messages']}")
    check("line A had holes that line B filled", channel["lines"][0]["missing"] > 0
          and channel["lines"][1]["delivered"] > 0, json.dumps(channel, indent=1))
    check("every event reached the consumer", summary["events_dropped"] == 0)
    check("each line says how it was received", all(
        (line["mode"], line["zero_copy"]) == ("poll" if CASE == "io_uring" else "", False) for line in channel["lines"]),
          json.dumps(channel, indent=1))
    check("the rate is over the time of the packets, not of the waiting",
          0 < summary["active_seconds"] < summary["seconds"] and abs(
              summary["messages_per_second"] * summary["active_seconds"] - summary["messages"]) < 1)
    check("what cannot be was not seen",
          not any(count for kind, count in summary["books"]["errors"].items()
                  if kind != "crossed"), json.dumps(summary["books"]))
    status, last = compare(folder, "handler.tsv")
    check("the books agree", status == 0 and last.startswith("simulator and handler agree: ")
          and last.endswith(" symbols, 0 differences"), last)


def options(folder):
    config = os.path.join(folder, "feed.yaml")
    with open(config, "w") as file:
        file.write(f"""
threads:
  - name: rx
    core: {min(os.sched_getaffinity(0))}
    idle: wait
symbols: [SPY, QQQ]
depth_levels: 5
channels:
  - name: itch
    protocol: itch50
    lines:
      - {{group: "{A}", interface: lo}}
      - {{group: "{B}", interface: lo}}
consumers:
  - name: strategy
  - {{name: tap, kind: raw, slots: 262144}}
""")
    process, out = start_run(folder, "handler", config)
    simulate(folder)
    status, summary = finish_run(process, out)
    check("a configuration file runs", status in (0, 1) and summary["messages"] > 0)
    symbols = {line.split("\t")[0] for line in open(os.path.join(folder, "handler.tsv"))}
    check("only subscribed instruments have books", symbols <= {"SPY", "QQQ"}, str(symbols))

    with open(config, "w") as file:
        file.write(f"""
threads: [{{name: rx0}}, {{name: rx1}}]
channels:
  - {{name: a, protocol: itch50, thread: 0, lines: [{{group: "{A}", interface: lo}}]}}
  - {{name: b, protocol: itch50, thread: 1, lines: [{{group: "{B}", interface: lo}}]}}
consumers:
  - {{name: strategy, thread: 1, slots: 1048576}}
""")
    process, out = start_run(folder, "two", config)
    sim = simulate(folder, messages=20000, rate=20000)
    status, summary = finish_run(process, out)
    check("two threads, a channel each", status == 0
          and [c["messages"] for c in summary["channels"]] == 2 * [sim["messages"]],
          json.dumps(summary["channels"], indent=1))
    rows = sorted(open(os.path.join(folder, "two.tsv")))
    check("the books of both threads are in one file",
          rows == sorted(2 * open(os.path.join(folder, "exchange.tsv")).readlines()) and len(rows) > 100)
    check("the summary is of both threads, the events of the consumer's",
          summary["messages"] == 2 * sim["messages"]
          and summary["events"] == summary["consumers"][0]["delivered"] > sim["messages"] // 2
          and summary["books"]["orders_peak"] > 0, json.dumps(summary["consumers"]))

    process = subprocess.Popen([MDFH, "run", *both_lines("--stay")], stdout=subprocess.PIPE,
                               text=True)
    wait_for_handler(process)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=90)
    check("a signal ends it with the summary", process.returncode == 0
          and text.startswith("received 0 packets"), text)

    result = subprocess.run([MDFH, "run", "--group", "239.1.1.1"], capture_output=True, text=True)
    check("a bad group is named", result.returncode == 2 and "239.1.1.1" in result.stderr,
          result.stderr)
    for wrong in (["--speed", "fast", "--file", "x"], [config, "--depth", "5"]):
        result = subprocess.run([MDFH, "run", *wrong], capture_output=True, text=True)
        check(f"refused: {wrong[0]} {wrong[1]}", result.returncode not in (0, 1)
              and ("fast" in result.stderr or "CONFIG.yaml" in result.stderr), result.stderr)
    result = subprocess.run([MDFH, "run", "--help"], capture_output=True, text=True)
    check("--help", result.returncode == 0 and "--group" in result.stdout)


def controls(folder):
    process, out = start_run(folder, "handler", *both_lines())
    simulate(folder, "--drop-a", "75000-75020", "--drop-b", "75000-75020")
    status, summary = finish_run(process, out)
    check("one packet lost on both lines is reported", status == 1 and summary["lost"] > 0,
          json.dumps(summary, indent=1))
    check("its cause is upstream",
          summary["channels"][0]["lost_by_cause"] == {"upstream": summary["lost"]},
          json.dumps(summary["channels"][0]["lost_by_cause"]))
    check("the consumer was told", summary["events_by_kind"].get("gap", 0) >= 1)
    status, last = compare(folder, "handler.tsv")
    check("and the books differ", status == 1 and last.startswith("simulator and handler differ"),
          last)

    rows = [line.rstrip("\n").split("\t") for line in open(os.path.join(folder, "exchange.tsv"))]
    rows = [row for row in rows if len(row) == 6 and row[3].isdigit()]

    def write(name, changed):
        with open(os.path.join(folder, name), "w") as file:
            file.writelines("\t".join(row) + "\n" for row in changed)
        return compare(folder, name)

    check("control of the controls: equal dumps agree", write("same.tsv", rows)[0] == 0)
    flipped = [list(row) for row in rows]
    alone = next(i for i in range(len(rows) // 2, len(rows) - 1)  # keeps the file in order
                 if rows[i][1] == "S" and rows[i - 1][2] != rows[i][2] != rows[i + 1][2])
    flipped[alone][2] = str(int(rows[alone][2]) + 1)
    check("one flipped price is noticed", write("flipped.tsv", flipped)[0] == 1)
    pair = next(i for i in range(len(rows) // 3, len(rows) - 1)
                if rows[i][:3] == rows[i + 1][:3])
    swapped = [list(row) for row in rows]
    swapped[pair][4:], swapped[pair + 1][4:] = rows[pair + 1][4:], rows[pair][4:]
    check("one swapped pair in a queue is noticed", write("swapped.tsv", swapped)[0] == 1)


def jumbo(folder):
    """Payloads of jumbo frames: cut and told without frame_size, whole with it, also those that
    wait in the reorder window."""
    long_packets = ("--mtu-payload", "8972", "--flush-us", "20000", "--burst", "1")

    def feed(name, *more):
        process, out = start_run(folder, name, *both_lines(*more))
        sim = simulate(folder, *long_packets, "--skew-us", "20000", "--drop-a",
                       "50000-50001", "--drop-b", "50400-50401")
        line = sim["lines"][1]
        check("most packets are as long as jumbo frames let them be",
              line["bytes"] / line["packets"] > 7000, json.dumps(sim))
        return (sim, *finish_run(process, out))

    sim, status, summary = feed("cut")
    lines = summary["channels"][0]["lines"]
    check("packets that are too long for a frame are counted, and told by the exit status",
          status == 1 and summary["lost"] > 0
          and summary["truncated"] == sum(line["truncated"] for line in lines)
          and all(line["truncated"] > line["packets"] // 2 for line in lines),
          json.dumps(summary, indent=1))
    sim, status, summary = feed("whole", "--frame-size", "8972")
    lines = summary["channels"][0]["lines"]
    check("with frame_size all of them are whole", status == 0 and summary["truncated"] == 0
          and summary["lost"] == 0 and summary["messages"] == sim["messages"],
          json.dumps(summary, indent=1))
    check("early ones too: what line B lacks had come on A, ahead of what A lacks",
          sim["lost_on_both"] == 0 and lines[0]["missing"] > 0 and lines[1]["missing"] > 0)
    status, last = compare(folder, "whole.tsv")
    check("the books agree", status == 0, last)

    config = os.path.join(folder, "feed.yaml")
    for size, status in (("", 1), (", frame_size: 8972", 0)):
        with open(config, "w") as file:
            file.write(f"""
channels:
  - name: itch
    protocol: itch50
    lines: [{{group: "{A}", interface: lo{size}}}, {{group: "{B}", interface: lo{size}}}]
consumers: [{{name: strategy, slots: 1048576}}]
""")
        process = subprocess.Popen([MDFH, "run", "--seconds", "60", config],
                                   stdout=subprocess.PIPE, text=True)
        simulate(folder, *long_packets)
        text, _ = process.communicate(timeout=90)
        told = [line for line in text.splitlines() if " and cut: " in line]
        check("one sentence a line names the remedy" if status else "or there is none to name",
              process.returncode == status and len(told) == 2 * status
              and all(line.startswith(f"itch line {name}  ")
                      and " packets were longer than 2048 bytes and cut: set frame_size" in line
                      for line, name in zip(told, "AB")), text)
    text = open(config).read().replace("8972", "70000")
    with open(config, "w") as file:
        file.write(text)
    result = subprocess.run([MDFH, "run", config], capture_output=True, text=True)
    check("a size that cannot be is refused", result.returncode == 2 and
          "line 0: frame_size is 70000; it must be from 256 to 65535" in result.stderr,
          result.stderr)


def look_for_io_uring():
    listed = subprocess.run([MDFH, "--modules", MODULES, "backends", "--json"], check=True,
                            capture_output=True, text=True).stdout
    reason = next(b["reason"] for b in json.loads(listed) if b["name"] == "io_uring")
    if reason:
        print(reason)
        sys.exit(77)


enter_namespace()
if CASE == "io_uring":
    look_for_io_uring()
with tempfile.TemporaryDirectory() as temporary:
    {"agree": agree, "io_uring": agree, "options": options, "controls": controls,
     "jumbo": jumbo}[CASE](temporary)
