#!/usr/bin/env python3
"""Backend xdp on Debian's kernel: all its tests, and those of libxdp's dispatcher.

usage: test_xdp.py TEST_XDP"""
import glob
import os
import sys

from vm import SKIP, Failed, Machine, Missing

TEST = os.path.abspath(sys.argv[1])
BUILD = os.environ["MDFH_BUILD"]
MODULES = os.path.join(BUILD, "modules")

machine = Machine(
    memory=1024, modules=["veth"], programs=["/bin/ip", "bpftool", "xdp-loader", TEST],
    files=[os.path.join(MODULES, "mdfh_xdp.so"), os.path.join(MODULES, "mdfh_xdp.bpf.o"),
           *glob.glob("/usr/lib/*/bpf/x*_*.o"), *glob.glob("/usr/lib/*/bpf/xdp-dispatcher.o"),
           "/etc/passwd"])
try:
    for result in machine.run([f"MDFH_BUILD={BUILD} {TEST}", f"MDFH_BUILD={BUILD} {TEST} dispatcher"]):
        print(result.check(), result.err)
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
