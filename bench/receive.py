#!/usr/bin/env python3
"""What a datagram of 200 bytes costs to receive through the kernel's sockets, as a table: bench_receive's
figures, each the median of the rounds, and beside it the median of the rounds' ratios to the bare recvmmsg
loop.

usage: receive.py [--build FOLDER] [--rounds N] [--datagrams N]
       receive.py --where [WAY]     where the time of WAY (recvmmsg) goes inside the kernel

--where samples the kernel with perf (Debian's package linux-perf), as root: parts of the time by what is
done, of datagrams that wait 64 at a time."""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

import machine

LOADS = ["burst 64", "train 64", "burst 8", "burst 1", "empty", "paced"]
TITLES = ["64", "64 as one", "8", "1", "none", "asleep"]

# What a sample counts as: the first whose functions are among its callers, innermost first.
PARTS = [
    ("control messages: the time stamp and the count of drops",
     {"put_cmsg", "__sock_recv_timestamp", "__sock_recv_cmsgs", "sock_recv_timestamp"}),
    ("copying the bytes, and the check of what is copied (hardened user copy)",
     {"skb_copy_datagram_iter", "__skb_datagram_iter", "_copy_to_iter", "__check_object_size",
      "simple_copy_to_iter"}),
    ("giving the packet's memory back",
     {"skb_consume_udp", "__consume_stateless_skb", "skb_attempt_defer_free", "consume_skb", "kfree",
      "napi_skb_cache_put", "skb_release_data", "udp_skb_destructor"}),
    ("choosing a buffer and posting a completion",
     {"io_buffer_select", "io_recv_finish", "io_req_post_cqe", "__io_put_kbufs", "io_kbuf_commit"}),
    ("taking the datagram from the socket's queue",
     {"__skb_recv_udp", "__skb_try_recv_from_queue", "udp_recvmsg", "udpv6_recvmsg", "inet_recvmsg",
      "sock_recvmsg"}),
    ("the call, and the header of each message in and out",
     {"__sys_recvmmsg", "__x64_sys_recvmmsg", "do_recvmmsg", "___sys_recvmsg", "io_recvmsg",
      "__do_sys_io_uring_enter", "__x64_sys_io_uring_enter"}),
]


def table(options):
    result = subprocess.run([f"{options.build}/bench/bench_receive", str(options.rounds),
                             str(options.datagrams)], capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"receive.py: {result.stderr}")
    ways = collections.defaultdict(dict)
    for line in result.stdout.splitlines():
        figures = json.loads(line)
        ways[figures["way"]][figures["load"]] = figures
    print(f"median of {options.rounds} rounds: ns per datagram (per call where none is there), of datagrams "
          "that were waiting, so many at a time;\nin parentheses the ratio to the bare recvmmsg loop\n")
    print("| | " + " | ".join(TITLES) + " |\n" + "| --- " * (len(LOADS) + 1) + "|")
    for way, loads in ways.items():
        cells = [f"{loads[l]['ns']:.0f} ({loads[l]['to_recvmmsg']:.2f})" if l in loads else "-"
                 for l in LOADS]
        print(f"| {way} | " + " | ".join(cells) + " |")
    print("\nio_uring to socket: " + ", ".join(
        f"{title} {ways['io_uring'][load]['to_socket']:.3f}" for load, title in zip(LOADS, TITLES)
        if load in ways["io_uring"]))


def part_of(chain):
    for function in chain:
        for name, functions in PARTS:
            if function.split("+")[0].split(".")[0] in functions:
                return name
    return None


def where(options):
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        run = subprocess.run(
            ["perf", "record", "-o", data, "-e", "cpu-clock", "-F", "10000", "-g", "--", "taskset", "-c", "1",
             f"{options.build}/bench/bench_receive", options.where, "burst 64", str(options.seconds)],
            capture_output=True, text=True, check=False)
        lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
        if run.returncode or not lines:
            sys.exit(f"receive.py: {run.stderr}")
        script = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym"], capture_output=True,
                                text=True, check=True).stdout
    counts = collections.Counter()
    for sample in script.split("\n\n"):
        chain = [line.split()[1] for line in sample.splitlines() if len(line.split()) > 1]
        if any("recvmmsg" in f or "io_uring_enter" in f for f in chain):
            counts[part_of(chain)] += 1
    total = sum(counts.values())
    if not total:
        sys.exit("receive.py: no sample fell into the kernel's receiving; is this root?")
    ns = json.loads(lines[-1])["ns"]
    print(f"{options.where}: {ns:.0f} ns a datagram, {total} samples\n\n| ns | share | |\n| --- | --- | --- |")
    for name, count in counts.most_common():
        print(f"| {ns * count / total:.0f} | {100 * count / total:.0f} % | {name or 'other'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--datagrams", type=int, default=20000, help="of a load, in a round")
    parser.add_argument("--where", nargs="?", const="recvmmsg", metavar="WAY")
    parser.add_argument("--seconds", type=int, default=10, help="of --where")
    options = parser.parse_args()
    print(machine.describe(), flush=True)
    if options.where:
        where(options)
    else:
        table(options)


if __name__ == "__main__":
    main()
