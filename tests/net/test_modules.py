#!/usr/bin/env python3
"""What a module shows and needs: one symbol, and no library of mdfh.

usage: test_modules.py MODULE.so...
"""
import re
import subprocess
import sys
import unittest

MODULES = sys.argv[1:]
SANITIZERS = re.compile(r"__(asan|ubsan|tsan|lsan|sanitizer)|_sanitize|__odr_asan")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Modules(unittest.TestCase):
    def test_exports_one_symbol(self):
        for module in MODULES:
            names = [line.split()[-1].split("@")[0] for line in
                     output("nm", "-D", "--defined-only", module).splitlines()]
            names = [name for name in names if not SANITIZERS.search(name)]
            self.assertEqual(names, ["mdfh_backend_module"], module)

    def test_needs_nothing_of_mdfh(self):
        for module in MODULES:
            needed = re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", module))
            self.assertFalse([name for name in needed if "mdfh" in name], module)
            undefined = output("nm", "-D", "--undefined-only", module)
            self.assertNotIn(" mdfh_", undefined, module)


if __name__ == "__main__":
    if not MODULES:
        print("this build has no module")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
