"""test_replay.py MDFH - mdfh replay against sockets of this test, in a network namespace of its own."""
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

if os.environ.get("MDFH_TEST_NAMESPACE") != "1":
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    if subprocess.run(unshare + ["true"], stderr=subprocess.DEVNULL).returncode:
        print("skipped: no network namespace can be made here (unshare -n)")
        sys.exit(77)
    os.environ["MDFH_TEST_NAMESPACE"] = "1"
    os.execvp(unshare[0], unshare + [sys.executable] + sys.argv)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

MDFH = sys.argv[1]
FOLDER = tempfile.TemporaryDirectory()


def frame(group, port, payload):
    udp = struct.pack(">HHHH", 1000, port, 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 1, 17, 0,
                     socket.inet_aton("10.0.0.1"), socket.inet_aton(group))
    return bytes(12) + b"\x08\x00" + ip + udp


def capture(name, packets, cut=0):
    """packets: (ns, group, port, payload), or (ns, frame, wire length)."""
    path = os.path.join(FOLDER.name, name)
    data = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for ns, *rest in packets:
        bytes_, wire = rest if isinstance(rest[0], bytes) else (frame(*rest), None)
        data += struct.pack("<IIII", 1000 + ns // 10**9, ns % 10**9, len(bytes_), wire or len(bytes_)) + bytes_
    with open(path, "wb") as file:
        file.write(data[:len(data) - cut])
    return path


def receiver(group):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((group, 0))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                    socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
    return sock, sock.getsockname()[1]


def received(sock):
    """What has arrived; loopback delivers before the sender's call returns."""
    out = []
    while select.select([sock], [], [], 0)[0]:
        out.append(sock.recv(65536))
    return out


def replay(*arguments, status=0):
    done = subprocess.run([MDFH, "replay", "--json", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return json.loads(done.stdout) if done.stdout else done.stderr


one, port_one = receiver("239.1.1.1")
two, port_two = receiver("239.1.1.2")
real, port_real = receiver("224.0.31.64")
payloads = [b"%d" % i * (i + 1) for i in range(20)]
both = capture("both.pcap", [(i * 1000, f"239.1.1.{1 + i % 2}", (port_one, port_two)[i % 2], payloads[i])
                             for i in range(20)])

# Where it was recorded.
summary = replay(both, "--speed", "0")
assert received(one) == payloads[0::2] and received(two) == payloads[1::2]
assert summary["packets"] == 20 and summary["bytes"] == sum(map(len, payloads)), summary
assert [(d["to"], d["packets"]) for d in summary["destinations"]] == [
    (f"239.1.1.1:{port_one}", 10), (f"239.1.1.2:{port_two}", 10)], summary

# All to one group, several times, up to a limit.
replay(both, "--speed", "0", "--group", f"239.1.1.1:{port_one}", "--loop", "2", "--limit", "30")
assert received(one) == payloads + payloads[:10] and received(two) == []

# Standard input.
with open(both, "rb") as file:
    subprocess.run([MDFH, "replay", "-", "--speed", "1000"], stdin=file, check=True, stdout=subprocess.DEVNULL)
assert received(one) == payloads[0::2] and received(two) == payloads[1::2]
assert "standard input" in subprocess.run([MDFH, "replay", "-", "--loop", "2"], capture_output=True, text=True).stderr

# To an IPv6 group, with the same care: unregistered ones up to the site's scope, hop limit 1, a route.
error = replay(both, "--group", "[ff15::9]:26477", status=2)
assert "no route to group ff15::9" in error and "ip -6 route add" in error, error
subprocess.run(["ip", "-6", "route", "add", "local", "ff00::/8", "dev", "lo"], check=True)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.bind(("ff15::9", 0))
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff15::9") +
               struct.pack("@I", socket.if_nametoindex("lo")))
replay(both, "--speed", "0", "--group", f"[ff15::9]:{six.getsockname()[1]}")
assert received(six) == payloads
recorded = os.path.join(FOLDER.name, "six.pcap")
subprocess.run([MDFH, "sim", "--messages", "300", "--symbols", "1", "--group", f"[ff15::9]:{six.getsockname()[1]}",
                "--linger", "0", "--out", recorded], check=True, stdout=subprocess.DEVNULL)
summary = replay(recorded, "--speed", "0")
assert summary["packets"] == len(received(six)) > 10, summary
for group in ("ff0e::1", "ff02::1", "2001:db8::1"):
    error = replay(both, "--group", f"[{group}]:26477", status=2)
    assert "ff11::/16 to ff15::/16" in error and "--transmit" in error, error

# Recorded timing: nothing comes early.
paced = capture("paced.pcap", [(i * 20 * 10**6, "239.1.1.1", port_one, b"x") for i in range(4)])
start = time.monotonic()
replay(paced)
assert time.monotonic() - start >= 0.060
start = time.monotonic()
replay(paced, "--speed", "2", "--loop", "2")
assert time.monotonic() - start >= 0.060
assert len(received(one)) == 12

# What could leave the machine is refused, and says how to go on.
outside = capture("outside.pcap", [(0, "224.0.31.64", port_real, b"real")])
error = replay(outside, status=2)
assert "224.0.31.64" in error and "--transmit" in error and "--group" in error, error
assert received(real) == []
error = replay(both, "--ttl", "2", status=2)
assert "ttl is 2" in error and "--transmit" in error, error
error = replay(both, "--interface", "nonexistent", status=2)
assert "nonexistent" in error, error
subprocess.run(["ip", "link", "add", "d0", "type", "dummy"], check=False, stderr=subprocess.DEVNULL)
if os.path.exists("/sys/class/net/d0"):
    error = replay(both, "--interface", "d0", status=2)
    assert "neither loopback nor a veth" in error, error
assert received(one) == [] and received(two) == []
replay(outside, "--transmit")
assert received(real) == [b"real"]

# What is no whole UDP packet is not sent, and counted; a cut file gives what it holds.
good = frame("239.1.1.1", port_one, b"good")
odd = capture("odd.pcap", [(0, good, len(good)), (1, good[:-2], len(good)), (2, bytes(14), 14),
                           (3, good[:20] + b"\x20" + good[21:], len(good)), (4, good, len(good))], cut=1)
summary = replay(odd, "--speed", "0", status=1)
assert received(one) == [b"good"]
assert summary["truncated"] == 1 and summary["cut"] is True, summary
assert summary["skipped"] == {"not IP": 1, "IP fragment": 1}, summary
assert "no pcap or pcapng file" in replay(__file__, status=2)

# SIGINT: a clean end with the summary.
slow = capture("slow.pcap", [(0, "239.1.1.1", port_one, b"first"), (3600 * 10**9, "239.1.1.1", port_one, b"last")])
process = subprocess.Popen([MDFH, "replay", "--json", slow], stdout=subprocess.PIPE, text=True)
assert select.select([one], [], [], 30)[0]
process.send_signal(signal.SIGINT)
summary = json.loads(process.communicate(timeout=30)[0])
assert process.returncode == 0 and summary["interrupted"] is True and summary["packets"] == 1, summary
assert received(one) == [b"first"]
print("replay: all as expected")
