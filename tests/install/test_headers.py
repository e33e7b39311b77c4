#!/usr/bin/env python3
"""Every public header compiles alone and twice over, with nothing but the public headers in the
include path, as C17 and as C++17.

usage: test_headers.py COMPILER c17|c++17 HEADER..."""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
# In C++, a function that is named as a struct is "shadowed": the library has some, as POSIX has stat.
C_WARNINGS = ["-Wshadow", "-Wstrict-prototypes"]


def main(compiler, standard, headers):
    if not shutil.which(compiler):
        print(f"{compiler} is not installed")
        return 77
    is_cxx = standard.startswith("c++")
    folder = tempfile.mkdtemp()
    # A folder of links, so that no internal header can be found beside a public one.
    public = os.path.join(folder, "include")
    os.makedirs(os.path.join(public, "mdfh"))
    for header in headers:
        os.symlink(os.path.abspath(header), os.path.join(public, "mdfh", os.path.basename(header)))

    def compile_one(name):
        source = os.path.join(folder, name + (".cc" if is_cxx else ".c"))
        with open(source, "w", encoding="utf-8") as stream:
            stream.write(f"#include <mdfh/{name}>\n#include <mdfh/{name}>\nint mdfh_none;\n")
        return subprocess.run(
            [compiler, f"-std={standard}", *WARNINGS, *([] if is_cxx else C_WARNINGS),
             "-fsyntax-only", "-I", public, source], capture_output=True, text=True)

    names = sorted(os.path.basename(header) for header in headers)
    failed = 0
    try:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, done in zip(names, pool.map(compile_one, names)):
                if done.returncode:
                    failed += 1
                    print(f"mdfh/{name}:\n{done.stderr}")
    finally:
        shutil.rmtree(folder)
    print(f"{len(names)} headers as {standard} with {compiler}, {failed} refused")
    return 1 if failed or len(names) < 20 else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
