#!/usr/bin/env python3
"""Frames with a tap's trailers, live through backends that see frames: written to one end of a veth pair in a
network namespace of the test's own, received from the other. The times are the tap's, of each packet.

usage: test_trailers_live.py MDFH MODULES BACKEND...

Backends that are not in this build are passed over; with none of them the test is skipped."""
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib

CLONE_NEWNET = 0x40000000
EARLIER_NS = 50_000_000  # the tap is so far from the host


def frames(path):
    """The UDP frames of a pcap."""
    with open(path, "rb") as file:
        data = file.read()
    at = 24
    while at < len(data):
        captured, = struct.unpack_from("<I", data, at + 8)
        yield data[at + 16:at + 16 + captured]
        at += 16 + captured


def metamako(frame, tap_ns):
    frame += bytes(max(0, 60 - len(frame)))
    return (frame + struct.pack("<I", zlib.crc32(frame)) +
            struct.pack(">IIBHB", tap_ns // 10**9, tap_ns % 10**9, 1, 42, 7))


def receiver(mdfh, modules, backend):
    """mdfh run on one end of the pair."""
    where = {"xdp": ["--backend", "xdp", "--interface", "rx0"],
              "dpdk": ["--backend", "dpdk", "--interface", "net_af_packet0,iface=rx0,framecnt=4096"]}[backend]
    return subprocess.Popen(
        [mdfh, "--modules", modules, "run", *where, "--group", "239.1.1.1:26477", "--trailer", "metamako",
         "--json", "--status", "--seconds", "60", "--idle", "wait"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check(mdfh, modules, backend, packets):
    known = json.loads(subprocess.run([mdfh, "--modules", modules, "backends", "--json"], capture_output=True,
                                      text=True, check=True, timeout=60).stdout)
    state = next((b for b in known if b["name"] == backend), {"available": False, "reason": "unknown"})
    if not state["available"]:
        print(f"{backend}: not here: {state['reason']}")
        return False
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("tx0", 0))
    run = receiver(mdfh, modules, backend)
    status = next((line for line in run.stderr if "packets" in line), "")  # the first one: it receives
    assert " 0 packets" in status, (backend, status, run.communicate(timeout=90))
    for frame in packets:
        sender.send(metamako(frame, time.time_ns() - EARLIER_NS))
    output, complaint = run.communicate(timeout=90)
    assert run.returncode == 0, (backend, run.returncode, complaint)
    line = json.loads(output)["channels"][0]["lines"][0]
    times = line["times"]
    assert times["tap"] == times["trailers"] == times["synced"] == line["packets"] == len(packets), (backend, line)
    assert times["app"] == times["trailers_absent"] == times["trailers_implausible"] == 0, (backend, line)
    print(f"{backend}: {len(packets)} packets with the tap's time")
    return True


def main(mdfh, modules, backends):
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        print("skipped: making a network namespace needs root")
        return 77
    for command in ("link add rx0 type veth peer name tx0", "link set rx0 up", "link set tx0 up", "link set lo up"):
        subprocess.run(["ip", *command.split()], check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "day.pcap")
        subprocess.run([mdfh, "sim", "--messages", "1000", "--out", path], check=True, capture_output=True, timeout=60)
        packets = list(frames(path))
        done = [check(mdfh, modules, backend, packets) for backend in backends]
    return 0 if any(done) else 77


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
