#!/usr/bin/env python3
"""The simulator's lines A and B through backend ef_vi to equal books: its software device takes frames off
one end of a veth pair in a network namespace of the test's own, the simulator sends from the other.

usage: test_ef_vi_live.py MDFH FOLDER

FOLDER has the module that is compiled for the device, and the device. As root."""
import json
import os
import subprocess
import sys
import tempfile

from live import A, enter, run

# What kind of NIC, and how it is asked.
KINDS = [("wired", ""), ("wired", "event_merge=on"), ("wired,efct", ""), ("wired,no_stamps", "")]


def backends(mdfh, folder, **environment):
    listed = subprocess.run([mdfh, "--modules", folder, "backends", "--json"], capture_output=True, text=True,
                            check=True, timeout=60, env={**os.environ, **environment}).stdout
    return next(b for b in json.loads(listed) if b["name"] == "ef_vi")


def without_module(mdfh):
    """A build without Onload's headers says so, and what to do."""
    with tempfile.TemporaryDirectory() as empty:
        state = backends(mdfh, empty)
        assert not state["available"] and "meson option ef_vi_headers" in state["reason"], state
        asked = subprocess.run([mdfh, "--modules", empty, "run", "--backend", "ef_vi", "--interface", "lo", "--group",
                                A], capture_output=True, text=True, timeout=60)
        assert asked.returncode == 2 and "meson option ef_vi_headers" in asked.stderr, asked


def main(mdfh, folder):
    without_module(mdfh)
    # The library is found by the linker, or it is not.
    state = backends(mdfh, folder, LD_LIBRARY_PATH=folder)
    assert state["available"] and not state["reason"], state
    state = backends(mdfh, folder, LD_LIBRARY_PATH="")
    assert not state["available"] and "software device 1" in state["reason"], state

    if not enter():
        return 77
    os.environ["LD_LIBRARY_PATH"] = folder
    with tempfile.TemporaryDirectory() as out:
        for kind, options in KINDS:
            os.environ["EF_VI_DEVICE"] = kind
            run(mdfh, folder, out, "ef_vi", kind, options, "app" if "no_stamps" in kind else "nic")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
