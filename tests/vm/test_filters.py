#!/usr/bin/env python3
"""The test of filters (tests/apps/test_filters.py) on Debian's kernel, which has devices for VLANs: sockets and
io_uring receive there what the others tell by the tag.

usage: test_filters.py MDFH BACKEND..."""
import glob
import os
import subprocess
import sys

from vm import SKIP, Failed, Machine, Missing, program

MDFH = os.path.abspath(sys.argv[1])
MODULES = os.path.join(os.environ["MDFH_BUILD"], "modules")
TEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "apps", "test_filters.py")
PYTHON = "/usr/bin/python3"  # not one of a user's own, whose library is elsewhere
IMPORTS = "import ctypes, encodings.ascii, json, os, socket, struct, subprocess, sys, tempfile, time"


def library():
    """The files behind what the test imports."""
    listed = subprocess.run(
        [PYTHON, "-I", "-c", IMPORTS + "; print(*{m.__file__ for m in list(sys.modules.values()) "
         "if getattr(m, '__file__', None)}, sep='\\n')"], capture_output=True, text=True, check=True).stdout
    return listed.split()


try:
    if not os.path.exists(PYTHON):
        raise Missing(PYTHON + " is not installed")
    MACHINE = Machine(
        memory=1536, cpus=2, modules=["veth", "8021q", "af_packet"], seconds=420,
        programs=["ip", PYTHON, MDFH],
        files=[TEST, "/usr/share/zoneinfo/America/New_York", *library(), *glob.glob(MODULES + "/mdfh_*.so"),
               *(file for pmds in glob.glob("/usr/lib/*/dpdk/pmds-*")
                 for file in glob.glob(pmds + "/librte_*_af_packet.so*") + glob.glob(pmds + "/librte_mempool_ring.so*")),
               *glob.glob("/usr/lib/*/bpf/*.o")],
        setup="mount -t bpf bpf /sys/fs/bpf")
    result, = MACHINE.run([" ".join([program(PYTHON), "-I", "-B", os.path.realpath(TEST), MDFH, MODULES, *sys.argv[2:]])])
    text = result.check()
    print(text)
    for backend in ("socket", "io_uring"):
        if backend in sys.argv[2:] and f"ok: tagged: {backend}: the same events" not in text:
            raise Failed(f"{backend} was not run in a VLAN")
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
