#!/usr/bin/env python3
"""One configuration, the same events and books on every backend: a feed of two lines among frames that differ
from it in one thing each (group, port, source, VLAN, protocol, host), and an instrument list. What a frame of no
line carries is another day's message of the same session and number, so one that is let through shows.

usage: test_filters.py MDFH MODULES BACKEND...

As root, in a network namespace of the test's own, over a veth pair: once without tags, once in a VLAN. Backends
that are not in this build are passed over, and sockets in a VLAN where the kernel has no devices for VLANs."""
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

CLONE_NEWNET = 0x40000000
A, B = ("239.1.1.1", 26477), ("239.1.1.2", 26478)
SOURCE, FOREIGN, HOST, OTHER_HOST = "10.77.0.1", "10.77.0.9", "10.77.0.2", "10.77.0.55"
VLAN = 100
MESSAGES = 5000

# The whole configuration of every run. where is the backend's name and what it calls its device.
CONFIG = """
channels:
  - name: itch
    protocol: itch50
    lines:
      - {{{where}, group: "239.1.1.1:26477", source: 10.77.0.1{vlan}}}
      - {{{where}, group: "239.1.1.2:26478", source: 10.77.0.1{vlan}}}
symbols: [{symbols}]
consumers:
  - {{name: strategy, full: wait}}
"""
WHERE = {
    "pcap": "backend: pcap, file: mixed.pcap",
    "socket": "backend: socket, interface: rx0",
    "io_uring": "backend: io_uring, interface: rx0",
    "xdp, native": "backend: xdp, interface: rx0, backend_options: mode=native",
    "xdp, generic": "backend: xdp, interface: rx0, backend_options: mode=generic",
    # Room for every frame, so that none is lost however slow the machine is.
    "dpdk": 'backend: dpdk, interface: "net_af_packet0,iface=rx0,framecnt=32768"',
    "ef_vi": "backend: ef_vi, interface: rx0",  # its software device takes frames off rx0
    "ef_vi, in the NIC": 'backend: ef_vi, interface: rx0, backend_options: "vlan_filters=on,source_port=40000"',
}


def check(what, ok, detail=""):
    print(f"{'ok' if ok else 'FAILED'}: {what}" + (f"\n{detail}" if not ok else ""), flush=True)
    if not ok:
        sys.exit(1)


# Frames --------------------------------------------------------------------------------------------

def payloads(path):
    """(port, payload) of the UDP packets of a capture that mdfh sim wrote."""
    with open(path, "rb") as file:
        data = file.read()
    at = 24
    while at < len(data):
        captured, = struct.unpack_from("<I", data, at + 8)
        frame = data[at + 16:at + 16 + captured]
        yield struct.unpack_from(">H", frame, 36)[0], frame[42:]
        at += 16 + captured


def sum16(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def make_frame(payload, group, port, tags, source=SOURCE, protocol=17, fragment=0, mac=None):
    to, sender = socket.inet_aton(group), socket.inet_aton(source)
    udp = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
    sum_of_udp = ~sum16(sender + to + struct.pack(">BBH", 0, 17, len(udp)) + udp) & 0xffff
    udp = udp[:6] + struct.pack(">H", sum_of_udp or 0xffff) + udp[8:]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 4711, fragment, 1, protocol, 0, sender, to)
    ip = ip[:10] + struct.pack(">H", ~sum16(ip) & 0xffff) + ip[12:]
    if mac is None:
        mac = b"\x01\x00\x5e" + bytes([to[1] & 0x7f]) + to[2:]
    return (mac + b"\x02\0\0\0\0\x01" + b"".join(struct.pack(">HH", 0x8100, tag) for tag in tags) + b"\x08\x00" +
            ip + udp)


def strays(payload, group, port, tags):
    """Frames of no line."""
    alias = "239.129." + group.split(".", 2)[2]  # the same hardware address
    yield make_frame(payload, alias, port, tags)
    yield make_frame(payload, "239.1.1.7", port, tags)
    yield make_frame(payload, group, port + 100, tags)
    yield make_frame(payload, group, B[1] if port == A[1] else A[1], tags)  # the other line's port
    yield make_frame(payload, group, port, tags, source=FOREIGN)
    yield make_frame(payload, group, port, tags, protocol=6)
    yield make_frame(payload, group, port, tags, fragment=0x2000)
    yield make_frame(payload, HOST, port, tags, mac=b"\x02\0\0\0\0\x77")
    yield make_frame(payload, OTHER_HOST, port, tags, mac=b"\x02\0\0\0\0\x55")
    if tags:
        yield make_frame(payload, group, port, (VLAN + 1,))
        yield make_frame(payload, group, port, ())


def write_capture(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, 1))
        for i, frame in enumerate(frames):
            file.write(struct.pack("<IIII", 1795000000, i * 1000, len(frame), len(frame)) + frame)


def simulate(mdfh):
    """The day, and another one of the same session."""
    for name, seed in (("true", 1), ("false", 2)):
        subprocess.run([mdfh, "sim", "--messages", str(MESSAGES), "--symbols", "40", "--seed", str(seed),
                        "--group-b", "239.1.1.2:26478", "--out", name + ".pcap", "--books-out", name + ".tsv",
                        "--date", "2026-11-20", "--burst", "1"], check=True, capture_output=True, timeout=60)


def make_streams(tags):
    """The feed alone, and the feed among strays, which come before what they could be taken for."""
    group = dict((port, address) for address, port in (A, B))
    wrong = list(payloads("false.pcap"))
    alone, mixed = [], []
    for i, (port, payload) in enumerate(payloads("true.pcap")):
        frame = make_frame(payload, group[port], port, tags)
        alone.append(frame)
        mixed += [*strays(wrong[i % len(wrong)][1], group[port], port, tags), frame]
    write_capture("alone.pcap", alone)
    write_capture("mixed.pcap", mixed)
    return alone, mixed


# Runs ----------------------------------------------------------------------------------------------

def start(mdfh, modules, name, config):
    with open("feed.yaml", "w", encoding="ascii") as file:
        file.write(config)
    return subprocess.Popen(
        [mdfh, "--modules", modules, "run", "--print", "--status", "--seconds", "60", "--books-out",
         name + ".books", "--json", "feed.yaml"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    """Events as they were printed, and the summary."""
    output, complaint = process.communicate(timeout=90)
    at = output.index("\n{\n") + 1 if "\n{\n" in output else output.find("{")
    check("the handler ran", at >= 0, output[-500:] + complaint)
    return output[:at], json.loads(output[at:]), process.returncode


def run_file(mdfh, modules, name, config):
    events, summary, _ = finish(start(mdfh, modules, name, config))
    return events, summary


def run_live(mdfh, modules, name, config, frames, pause=0.002):
    process = start(mdfh, modules, name, config)
    status = next((line for line in process.stderr if "packets" in line), "")  # the first status line: it receives
    if " 0 packets" not in status:
        process.kill()
        check(name + " receives", False, status + process.communicate(timeout=60)[1])
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("tx0", 0))
    for i, frame in enumerate(frames):
        sender.send(frame)
        if i % 64 == 0:
            time.sleep(pause)  # a ring's depth is not what is tested
    sender.close()
    return finish(process)[:2]


def is_here(mdfh, modules, backend):
    listed = subprocess.run([mdfh, "--modules", modules, "backends", "--json"], capture_output=True, text=True,
                            check=True, timeout=60).stdout
    state = next((b for b in json.loads(listed) if b["name"] == backend), {"available": False, "reason": "unknown"})
    if not state["available"]:
        print(f"{backend}: not here: {state['reason']}")
    return state["available"]


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def make_devices():
    """A veth pair, and on its end rx0 the devices of two VLANs: 1, or 0 where the kernel has none."""
    def ip(command):
        return subprocess.run(["ip", *command.split()], check=False, capture_output=True).returncode == 0

    check("a veth pair is made", ip("link add rx0 type veth peer name tx0") and ip("address add 10.77.0.2/24 dev rx0"))
    devices = ["all", "rx0"]
    for vlan in (VLAN, VLAN + 1):
        if ip(f"link add link rx0 name feed{vlan} type vlan id {vlan}"):
            devices.append(f"feed{vlan}")
            ip(f"address add 10.77.{vlan}.2/24 dev feed{vlan}")
    for device in devices:  # what comes is looked at, whatever the way back to its source is
        with open(f"/proc/sys/net/ipv4/conf/{device}/rp_filter", "w", encoding="ascii") as file:
            file.write("0")
    for device in ("lo", "tx0", *devices[1:]):
        ip(f"link set {device} up")
    return len(devices) > 2


def run_round(mdfh, modules, names, tags):
    """The same from each backend as from the feed alone."""
    alone, mixed = make_streams(tags)
    rows = [line for line in read("true.tsv").splitlines() if line.count("\t") == 5]
    listed = sorted({row.split("\t")[0] for row in rows})[:7]
    vlan = f", vlan: {VLAN}" if tags else ""
    kind = "tagged" if tags else "untagged"

    def config(where, text=CONFIG):
        return text.format(where=where, symbols=", ".join(listed), vlan=vlan)

    # What is right: the feed alone, no filter but the instrument list.
    want, summary = run_file(mdfh, modules, "want", config(
        "backend: pcap, file: alone.pcap", CONFIG.replace(", source: 10.77.0.1{vlan}", "")))
    books = read("want.books")
    check(f"{kind}: the feed alone is whole", summary["lost"] == 0 and summary["messages"] == MESSAGES and
          sum(line["packets"] for line in summary["channels"][0]["lines"]) == len(alone), json.dumps(summary))
    check(f"{kind}: events and books are of listed instruments, and the exchange's",
          [row for row in books.splitlines() if row.count("\t") == 5] ==
          [row for row in rows if row.split("\t")[0] in listed] and want.count("\n") > 500)
    for name in names:
        where = config(WHERE[name])
        if name == "pcap":
            got, summary = run_file(mdfh, modules, "got", where)
        else:
            # The software device's ring has room for no more than 4096 frames, strays among them.
            got, summary = run_live(mdfh, modules, "got", where, mixed, 0.02 if name.startswith("ef_vi") else 0.002)
        lines = summary["channels"][0]["lines"]
        check(f"{kind}: {name}: exactly the packets of each line",
              [line["packets"] for line in lines] == [len(alone) // 2] * 2, json.dumps(summary, indent=1))
        check(f"{kind}: {name}: the same events", got == want)
        check(f"{kind}: {name}: the same books", read("got.books") == books)

    # The controls: a filter that is left out, or names something else, shows.
    for what, old, new in (("source", ", source: 10.77.0.1", ""), ("VLAN", "{vlan}", ""),
                           ("VLAN's number", "{vlan}", ", vlan: 101"), ("group", "239.1.1.1:", "239.129.1.1:"),
                           ("port", ":26477", ":26577"), ("instrument list", "symbols: [{symbols}]\n", "")):
        if "VLAN" in what and not tags:
            continue
        got, _ = run_file(mdfh, modules, "control", config(WHERE["pcap"], CONFIG.replace(old, new)))
        check(f"{kind}: without the right {what} the events differ", got != want)


def main(mdfh, modules, backends):
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        print("skipped: making a network namespace needs root")
        return 77
    has_vlans = make_devices()
    here = [backend for backend in backends if is_here(mdfh, modules, backend)]
    names = [name for name in WHERE if name.split(",")[0] in here]
    simulate(mdfh)
    run_round(mdfh, modules, names, ())
    if not has_vlans:
        print("socket, io_uring: not in a VLAN: this kernel has no devices for VLANs")
        names = [name for name in names if name not in ("socket", "io_uring")]
    run_round(mdfh, modules, names, (VLAN,))
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        program, where_modules = (os.path.abspath(path) for path in sys.argv[1:3])
        os.chdir(folder)
        sys.exit(main(program, where_modules, sys.argv[3:]))
