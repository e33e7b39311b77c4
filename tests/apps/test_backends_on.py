#!/usr/bin/env python3
"""mdfh backends --interface: what each backend would be on a device, and what it lacks there.

usage: test_backends_on.py MDFH MODULES BACKEND...

As root, in a network namespace of the test's own, on a veth device. BACKEND: those that this build has."""
import ctypes
import json
import os
import subprocess
import sys

CLONE_NEWNET = 0x40000000


def main(mdfh, modules, built):
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        print("skipped: making a network namespace needs root")
        return 77
    for command in ("link add mdfh0 type veth peer name mdfh1", "address add 10.77.0.2/24 dev mdfh0",
                    "link set lo up", "link set mdfh0 up", "link set mdfh1 up"):
        subprocess.run(["ip", *command.split()], check=True)

    def backends(*options):
        done = subprocess.run([mdfh, "--modules", modules, "backends", *options], capture_output=True, text=True,
                              check=False, timeout=120)
        return done.returncode, done.stdout, done.stderr

    with open("/proc/net/igmp", encoding="ascii") as file:
        groups = file.read()
    code, text, complaint = backends("--interface", "mdfh0", "--json")
    assert code == 0, (code, text, complaint)
    found = {(one["name"], one["interface"]): one for one in json.loads(text)}
    assert not {name for name, _ in found} & {"pcap", "null", "fault"}, found.keys()

    socket = found["socket", "mdfh0"]
    missing = {one["what"]: one["reason"] for one in socket["missing"]}
    assert socket["available"] and socket["capabilities"]["filters"] == "kernel", socket
    assert missing["zero-copy"].endswith("the kernel copies every packet of a socket"), missing
    assert "mdfh0 has no hardware receive stamps" in missing["hardware times"], missing
    known = [one["name"] for one in json.loads(backends("--json")[1]) if one["available"]]
    for name in ("io_uring", "xdp", "dpdk"):
        if name not in built or name not in known:
            print(f"{name}: not here")
    if "xdp" in built and "xdp" in known:
        xdp = found["xdp", "mdfh0"]
        assert xdp["capabilities"]["mode"].startswith("native, copy, queue 0"), xdp
        assert any(one["what"] == "zero-copy" and "mdfh0 has no AF_XDP zero-copy" in one["reason"]
                   for one in xdp["missing"]), xdp
    if "dpdk" in built and "dpdk" in known:
        packets = found["dpdk", "net_af_packet0,iface=mdfh0"]
        assert packets["capabilities"]["mode"].startswith("net_af_packet, "), packets
        assert ("dpdk", "net_af_xdp0,iface=mdfh0") in found, found.keys()
        code, text, _ = backends("--interface", "net_ring0")
        assert code == 0 and "dpdk       available     net_ring0\n    zero-copy" in text, text
    # What is not here at all says why, as in the plain list.
    for one in json.loads(backends("--json")[1]):
        if not one["available"]:
            assert found[one["name"], "mdfh0"]["reason"] == one["reason"] != "", (one, found)

    # Nothing stays: no program, no membership.
    assert "xdp" not in subprocess.run(["ip", "link", "show", "mdfh0"], capture_output=True, text=True,
                                       check=True).stdout
    with open("/proc/net/igmp", encoding="ascii") as file:
        assert file.read() == groups

    code, text, _ = backends("--interface", "mdfh0")
    assert code == 0 and "socket     available     mdfh0\n" in text and "    no zero-copy: socket: " in text, text
    code, text, _ = backends("--interface", "nonesuch")
    assert code == 1 and "socket     not available nonesuch\n    socket: interface 'nonesuch': No such dev" in text, text
    code, _, complaint = backends("--interface", "")
    assert code != 0 and "--interface is empty" in complaint, complaint
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
