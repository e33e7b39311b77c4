#!/usr/bin/env python3
"""The simulator's lines A and B through a raw port of backend verbs, over its software device, to equal books.

usage: test_verbs_live.py MDFH FOLDER

FOLDER has the module that is linked with the device. As root."""
import os
import sys
import tempfile

from live import enter, run


def main(mdfh, folder):
    if not enter():
        return 77
    with tempfile.TemporaryDirectory() as out:
        for kind, source in (("rx0", "app"), ("rx0,ticks", "nic"), ("rx0,wallclock", "nic")):
            os.environ["VERBS_DEVICE"] = kind
            run(mdfh, folder, out, "verbs", kind, "mode=raw", source)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
