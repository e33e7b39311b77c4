#!/usr/bin/env python3
"""Kernel sockets and io_uring on Debian's kernel: their tests, trains (UDP GRO) included.

usage: test_sockets.py TEST_SOCKET TEST_GRO [MODULE]"""
import os
import sys

from vm import SKIP, Failed, Machine, Missing

SOCKET, GRO = (os.path.abspath(path) for path in sys.argv[1:3])
MODULE = sys.argv[3:]
BUILD = os.environ["MDFH_BUILD"]

commands = [SOCKET, f"{SOCKET} socket gro=on", GRO]
if MODULE:
    # Not mode=defer: there a busy flow has a longer turn than on newer kernels.
    commands += [f"{SOCKET} io_uring mode=poll", f"{GRO} io_uring"]
machine = Machine(memory=1024, programs=[SOCKET, GRO], files=MODULE)
try:
    for result in machine.run([f"MDFH_BUILD={BUILD} {command}" for command in commands]):
        print(result.check(), result.err)
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
