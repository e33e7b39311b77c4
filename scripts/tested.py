#!/usr/bin/env python3
"""Make docs/tested.md: what was proved, and where, by the tests of a finished run.

    tested.py [--check] BUILD-FOLDER

Reads tests/tested.txt and BUILD-FOLDER/meson-logs/testlog.json. A row whose tests did not all pass is an
error. --check compares with the document that there is, and writes nothing.
"""
import argparse
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(ROOT, "tests", "tested.txt")
DOCUMENT = os.path.join(ROOT, "docs", "tested.md")
PLACES = ("host", "namespace", "virtual machine", "software device", "compiled only")
HEAD = """# What was tested, and where

Made by `scripts/tested.py` from the results of the tests; a row stands here only if all tests that it names
passed. "Namespace": over devices made in a network namespace of the host's kernel. "Virtual machine": on Debian's
kernel, with emulated devices. "Software device": over a device of software, with no kernel on the way. "Compiled
only": there was no device to run it on.
"""


def results(folder):
    found = {}
    with open(os.path.join(folder, "meson-logs", "testlog.json"), encoding="utf-8") as file:
        for line in file:
            test = json.loads(line)
            found[test["name"].split(" / ", 1)[1]] = test["result"]
    return found


def rows():
    with open(TABLE, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if line.startswith("## "):
                yield line, None, None
            elif line and not line.startswith("#"):
                parts = [part.strip() for part in line.split("|")]
                if len(parts) != 3 or parts[1] not in PLACES:
                    sys.exit(f"{TABLE}:{number}: not 'capability | place | tests': {line}")
                tests = [name.strip() for name in parts[2].split(";") if name.strip()]
                if bool(tests) == (parts[1] == "compiled only"):
                    sys.exit(f"{TABLE}:{number}: tests belong to all but 'compiled only': {line}")
                yield parts[0], parts[1], tests


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("folder", metavar="BUILD-FOLDER")
    options = parser.parse_args()
    found = results(options.folder)
    text, wrong = [HEAD], 0
    for capability, place, tests in rows():
        if place is None:
            text.append(f"\n{capability}\n\n| capability | where | tests |\n| --- | --- | --- |\n")
            continue
        for test in tests:
            if found.get(test) != "OK":
                print(f"tested.py: '{capability}' names the test '{test}': "
                      f"{found.get(test, 'there is none')}", file=sys.stderr)
                wrong = 1
        text.append(f"| {capability} | {place} | {', '.join(f'`{test}`' for test in tests)} |\n")
    text = "".join(text)
    if options.check:
        with open(DOCUMENT, encoding="utf-8") as file:
            if file.read() != text:
                print("tested.py: docs/tested.md is not what the table says; run scripts/tested.py "
                      f"{options.folder}", file=sys.stderr)
                wrong = 1
    elif not wrong:
        with open(DOCUMENT, "w", encoding="utf-8") as file:
            file.write(text)
    return wrong


sys.exit(main())
