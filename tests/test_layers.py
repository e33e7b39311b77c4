#!/usr/bin/env python3
"""A folder of src/ includes only from itself and from those before it in meson.build, and public
headers include only public headers.

usage: test_layers.py SOURCE"""

import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def includes(folder):
    """(file, what it includes with quotes) of every C file below a folder."""
    for path, _, names in os.walk(folder):
        for name in sorted(names):
            if name.endswith((".c", ".h", ".in")):
                file = os.path.join(path, name)
                for what in INCLUDE.findall(open(file, encoding="utf-8").read()):
                    yield file, what


def main(source):
    os.chdir(source)
    order = re.findall(r"^\s*subdir\('(?:src/)?(\w+)'\)", open("meson.build").read(), re.M)
    # protocols holds schemas, whose generated headers are included as "protocols/NAME.h".
    order = [name for name in order if os.path.isdir(f"src/{name}") or name == "protocols"]
    missing = set(os.listdir("src")) - set(order) - {"libmdfh.map"}
    problems = [f"src/{name} has no subdir line in meson.build" for name in sorted(missing)]
    checked = 0
    for rank, layer in enumerate(order):
        for file, what in includes(os.path.join("src", layer)):
            folder = what.split("/")[0]
            checked += 1
            if folder in order[rank + 1:]:
                problems.append(f"{file} includes {what}, but {folder} comes after {layer}: move "
                                "what it needs to an earlier folder, or pass it as an argument")
    for file, what in includes("include"):
        checked += 1
        if not what.startswith("mdfh/"):
            problems.append(f"{file} includes {what}, which is not installed")
    print("\n".join(problems) or f"{checked} includes in {len(order)} layers: {', '.join(order)}")
    return 1 if problems or checked < 100 or len(order) < 8 else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
