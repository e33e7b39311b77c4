#!/usr/bin/env python3
"""Backend xdp as its users have it.

without privilege  as docs/backend-xdp.md says: root pins the maps and attaches the program,
                   examples/xdp_launcher.py makes the socket, and `mdfh run` has neither a capability nor root's rights
losses             what found the ring full is the socket's, and nobody else is blamed for it

usage: test_xdp_user.py MDFH MODULES LAUNCHER

As root, in network and mount namespaces of the test's own, over a veth pair."""
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MDFH, MODULES, LAUNCHER = (os.path.abspath(path) for path in sys.argv[1:])
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
FEED = """
channels:
  - name: feed
    protocol: itch50
    lines:
      - {backend: xdp, interface: mdfh0, group: "239.1.1.1:26477", rx_ring_size: 1024, hold_max: 64,
         backend_options: "pinned=/sys/fs/bpf/mdfh,socket_fd=3"}
consumers:
  - {name: strategy, slots: 1048576}
"""


def run(line):
    subprocess.run(line, shell=True, check=True, env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})


def enter():
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(CLONE_NEWNET | CLONE_NEWNS):
        print("skipped: namespaces of its own need root")
        sys.exit(77)
    run("mount --make-rprivate / && mount -t bpf bpf /sys/fs/bpf")
    run("ip link add mdfh0 type veth peer name mdfh1 && ip address add 10.77.0.2/24 dev mdfh0 &&"
        " ip link set lo up && ip link set mdfh0 up multicast on && ip link set mdfh1 up multicast on")


def without_privilege(folder):
    program, modules = f"{folder}/mdfh", f"{folder}/modules"  # where anybody may run them
    shutil.copy(MDFH, program)
    os.mkdir(modules)
    shutil.copy(f"{MODULES}/mdfh_xdp.so", modules)
    with open(f"{folder}/feed.yaml", "w", encoding="ascii") as file:
        file.write(FEED)
    os.chmod(folder, 0o755)
    run(f"bpftool prog load {MODULES}/mdfh_xdp.bpf.o /sys/fs/bpf/program type xdp pinmaps /sys/fs/bpf/mdfh")
    run("bpftool net attach xdp pinned /sys/fs/bpf/program dev mdfh0")
    run("chmod 755 /sys/fs/bpf && chown -R nobody /sys/fs/bpf/mdfh")

    command = [sys.executable, LAUNCHER, "nobody", program, "--modules", modules, "run", "--json", "--seconds", "40",
               f"{folder}/feed.yaml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as handler:
        maps = "bpftool map dump pinned /sys/fs/bpf/mdfh/kinds"
        for _ in range(1200):  # until it takes packets
            filled = subprocess.run(maps, shell=True, capture_output=True, text=True, check=True,
                                    env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}).stdout
            if re.search(r"(value: 0*[1-9a-f]|\"value\": [1-9])", filled):
                break
            assert handler.poll() is None
            time.sleep(0.05)
        with open(f"/proc/{handler.pid}/status", encoding="ascii") as file:
            status = file.read()
        assert "Uid:\t65534\t65534\t65534\t65534\n" in status and "CapEff:\t0000000000000000\n" in status, status
        # Fewer packets than the ring holds, so that none is lost however slow the machine is.
        run(f"{MDFH} sim --interface mdfh1 --transmit --messages 900 --symbols 20 --rate 5000 --burst 1 --linger 1 >/dev/null")
        summary = json.loads(handler.communicate(timeout=60)[0])
    line = summary["channels"][0]["lines"][0]
    assert handler.returncode == 0 and summary["messages"] == 900 and not summary["lost"], summary
    assert (line["backend"], line["mode"]) == ("xdp", "pinned, copy, queue 0"), line
    run("bpftool net detach xdp dev mdfh0")


def sent():
    """Packets that went to the handler's end of the pair."""
    path = os.environ["PATH"] + ":/usr/sbin"
    links = subprocess.run("ip -json -statistics link show mdfh1", shell=True, check=True,
                           stdout=subprocess.PIPE, env={**os.environ, "PATH": path})
    return json.loads(links.stdout)[0]["stats64"]["tx"]["packets"]


def losses():
    command = [MDFH, "--modules", MODULES, "run", "--json", "--status", "--backend", "xdp", "--interface", "mdfh0", "--group",
               "239.1.1.1:26477", "--stay", "--seconds", "180"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as handler:
        # The first one: it receives.
        told = next((line for line in handler.stderr if "packets" in line), "")
        assert " 0 packets" in told, (told, handler.communicate(timeout=200))
        handler.send_signal(signal.SIGSTOP)
        before = sent()
        # In packets of a message or two: twice what the ring has room for.
        sim = subprocess.Popen([MDFH, "sim", "--interface", "mdfh1", "--transmit", "--messages", "20000", "--rate", "20000",
                                "--burst", "1", "--linger", "3"], stdout=subprocess.DEVNULL)
        while sent() < before + 5000:  # more than the ring has room for
            assert sim.poll() is None
            time.sleep(0.05)
        handler.send_signal(signal.SIGCONT)
        assert sim.wait(timeout=120) == 0
        for line in handler.stderr:  # which ends, whatever is told
            told += line
            if "messages lost" in line:
                break
        handler.send_signal(signal.SIGINT)
        out, rest = handler.communicate(timeout=60)
        told += rest
    channel = json.loads(out)["channels"][0]
    assert channel["lines"][0]["dropped_by_socket"] > 0, channel
    assert list(channel["lost_by_cause"]) == ["socket"], channel
    assert "messages lost, cause: socket" in told and "cause: upstream" not in told, told


enter()
with tempfile.TemporaryDirectory() as name:
    without_privilege(name)
losses()
