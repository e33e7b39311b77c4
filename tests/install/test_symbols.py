#!/usr/bin/env python3
"""The symbol map, the public headers and what the built library exports say the same.

- each header of include/mdfh is one of those that are installed;
- src/libmdfh.map has each function that is MDFH_API in include/mdfh, in the order of the alphabet,
  and nothing else;
- libmdfh.so exports exactly these, each under the version that the map gives it;
- libmdfh.a defines no global name without the prefix mdfh_, which could meet one of the program.

usage: test_symbols.py MAP LIBRARY.so LIBRARY.a HEADER..."""

import os
import re
import subprocess
import sys


def short(path):
    return os.path.relpath(path, os.environ.get("MDFH_SOURCE", "."))


def declared(paths):
    """Public function -> header."""
    found = {}
    for path in paths:
        text = open(path, encoding="utf-8").read()
        text = re.sub(r"/\*.*?\*/|^[ \t]*#.*?(?<!\\)$", "", text, flags=re.S | re.M)
        for declaration in re.findall(r"\bMDFH_API\b([^;{]*)", text):
            name = re.search(r"\b(\w+)\s*\(", declaration)
            assert name, f"{short(path)}: MDFH_API{declaration}: this test expects a function"
            found[name.group(1)] = path
    return found


def listed(path):
    """Exported name -> version, from the map, and what is wrong with the map itself."""
    text = re.sub(r"/\*.*?\*/", "", open(path, encoding="utf-8").read(), flags=re.S)
    found, problems = {}, []
    for version, body in re.findall(r"(\w[\w.]*)\s*\{(.*?)\}", text, flags=re.S):
        names = re.findall(r"(\w+);", body.split("local:")[0])
        for name, after in zip(names, names[1:]):
            if name >= after:
                problems.append(f"{short(path)}: {after} stands after {name}: sort the lines (LC_ALL=C sort)")
        for name in names:
            if name in found:
                problems.append(f"{short(path)}: {name} stands twice")
            found[name] = version
    return found, problems


def exported(path):
    """Defined dynamic symbol -> version."""
    lines = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", path],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    found = {}
    for line in lines:
        kind, symbol = line.split()[1:3]
        name, _, version = symbol.partition("@")
        if kind != "A":  # the versions themselves
            found[name] = version.lstrip("@")
    return found


def global_names(path):
    lines = subprocess.run(["nm", "-g", "--defined-only", path],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[2] for line in lines if len(line.split()) == 3}


def main(map_path, shared, static, headers):
    versions, problems = listed(map_path)
    functions = declared(headers)
    folder = os.path.dirname(headers[0])
    for name in sorted(os.listdir(folder)):
        if name.endswith(".h") and name not in map(os.path.basename, headers):
            problems.append(f"{short(folder)}/{name} is not installed: add it to the meson.build there")
    assert len(functions) > 100, f"only {len(functions)} public functions were found"
    for name, header in sorted(functions.items()):
        if name not in versions:
            problems.append(f"{name} is MDFH_API in {short(header)} but not in {short(map_path)}: "
                            f"add the line '\t{name};' there, in the order of the alphabet, under "
                            "the version that is not released yet")
    for name in sorted(set(versions) - set(functions)):
        problems.append(f"{name} is in {short(map_path)} but no header declares it MDFH_API: remove the "
                        "line if no release has had it, else bring the function back")
    for name, version in sorted(exported(shared).items()):
        if versions.get(name) != version:
            problems.append(f"{shared} exports {name} under '{version}', {short(map_path)} says "
                            f"'{versions.get(name)}'")
    for name in sorted((set(versions) & set(functions)) - set(exported(shared))):
        problems.append(f"{shared} does not export {name}: is it defined, and does its source "
                        "include the header that declares it?")
    names = global_names(static)
    assert set(functions) <= names, sorted(set(functions) - names)
    for name in sorted(names):
        if not name.startswith(("mdfh_", "__")):  # a sanitizer adds some of its own
            problems.append(f"{static} defines {name}: make it static or begin it with mdfh_")
    print("\n".join(problems) or f"{len(functions)} functions")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
