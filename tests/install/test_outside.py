#!/usr/bin/env python3
"""Programs outside the tree, built with nothing but what pkg-config says of the installed library.

- every example and program.cc compile from an empty folder, against libmdfh.so, and against
  libmdfh.a where that is all there is;
- the example of the README receives a simulated feed, and prints each of its trades;
- the C++ program sees in a capture what `mdfh run` sees;
- the installed command finds the modules that were installed with it, and they pass conformance.

What is installed lies over the prefix in a mount namespace of the test's own, beside a network
namespace of its own: nothing outside the test's folder changes. With "installed" the library is
there already, and only shared.

usage: test_outside.py MESON SOURCE BUILD PREFIX LIBDIR
       test_outside.py installed SOURCE PREFIX LIBDIR"""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

if len(sys.argv) not in (5, 6) or (len(sys.argv) == 5) != (sys.argv[1] == "installed"):
    sys.exit(__doc__)
IS_INSTALLED = len(sys.argv) == 5
MESON, BUILD = sys.argv[1], sys.argv[3]
SOURCE, PREFIX, LIBDIR = os.path.abspath(sys.argv[2]), sys.argv[-2], sys.argv[-1]
LIBRARIES = os.path.join(PREFIX, LIBDIR)
MDFH = os.path.join(PREFIX, "bin", "mdfh")
MODULE = os.path.join(SOURCE, "examples", "backend_module.c")
A, B = "239.1.1.1:26477", "239.1.1.2:26478"
# What backends that take packets off a device call the end of a veth pair.
DEVICES = {"xdp": "mdfh0", "dpdk": "net_af_packet0,iface=mdfh0"}
DAY = ["--messages", "20000", "--symbols", "200", "--seed", "3"]


def enter_namespaces():
    if os.environ.get("MDFH_TEST_INSIDE"):
        subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
        subprocess.run(["ip", "route", "add", "239.0.0.0/8", "dev", "lo"], check=True)
        subprocess.run(["ip", "link", "add", "mdfh0", "type", "veth", "peer", "name", "mdfh1"], check=True)
        for end in "mdfh0", "mdfh1":
            subprocess.run(["ip", "link", "set", end, "up"], check=True)
        return
    unshare = ["unshare", "--net", "--mount"] + ([] if os.geteuid() == 0 else ["-U", "-r"])
    need = ["true"] if IS_INSTALLED else ["mount", "-t", "overlay", "overlay", "-o",
                                          f"lowerdir={BUILD}:{PREFIX}", PREFIX]
    tried = subprocess.run(unshare + need, capture_output=True, text=True)
    if tried.returncode != 0:
        print(f"nothing can be laid over {PREFIX} here: {tried.stderr.strip()}")
        sys.exit(77)
    os.environ["MDFH_TEST_INSIDE"] = "1"
    os.execvp(unshare[0], unshare + [sys.executable] + sys.argv)


def call(*arguments, **options):
    done = subprocess.run(arguments, text=True, capture_output=True, timeout=120, **options)
    assert done.returncode == 0, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def lay_over(tree):
    call("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={tree}{PREFIX}:{PREFIX}", PREFIX)
    os.environ["PKG_CONFIG_PATH"] = os.path.join(LIBRARIES, "pkgconfig")
    os.environ["LD_LIBRARY_PATH"] = LIBRARIES


def compile_all(*pkg_config):
    """Source -> program, of every example and of the C++ program, in an empty folder."""
    folder = tempfile.mkdtemp(dir=".")
    flags = call("pkg-config", "--cflags", "--libs", *pkg_config, "mdfh").split()
    programs = {}
    sources = [path for path in glob.glob(os.path.join(SOURCE, "examples", "*.c")) if path != MODULE]
    assert sources
    for path in sources + [os.path.join(SOURCE, "tests", "install", "program.cc")]:
        name = os.path.basename(path)
        shutil.copy(path, folder)
        compiler = ["c++", "-std=c++17"] if name.endswith(".cc") else ["cc"]
        programs[name] = os.path.abspath(os.path.join(folder, name.split(".")[0]))
        call(*compiler, name, "-o", programs[name], *flags, cwd=folder)
    return programs


def check_example_module():
    """The module of the guide, made as it says."""
    path = os.path.abspath("mdfh_plain.so")
    flags = call("pkg-config", "--cflags", "mdfh").split()
    call("cc", "-shared", "-fPIC", "-o", path, MODULE, *flags)
    assert not needs_libmdfh(path)
    call(MDFH, "conformance", path)


def needs_libmdfh(program):
    return "libmdfh.so.0" in call("readelf", "-d", program)


def check_cxx(program):
    call(MDFH, "sim", *DAY, "--out", "day.pcapng")
    seen = json.loads(call(program, "day.pcapng"))
    summary = json.loads(call(MDFH, "run", "--json", "--wait", "--file", "day.pcapng"))
    wanted = {"events": summary["events"], "trades": summary["events_by_kind"]["trade"], "gaps": 0}
    assert seen["ingest"] == wanted and seen["handler"] == wanted, (seen, wanted)
    assert seen["packets"] == summary["packets"] and seen["messages"] == summary["messages"] == 20000, seen
    assert seen["ring"] == 100000 * 100001 // 2, seen
    version = call(MDFH, "--version").split()
    assert version == ["mdfh", seen["library"]] and seen["headers"] == seen["library"], (version, seen)
    return wanted["trades"]


def check_ingest(program, trades):
    """The README's example prints the trades of a feed on two lines."""
    with open("trades.txt", "w+", encoding="utf-8") as out:
        # It writes to a file in blocks, so they are complete only when it has ended.
        feed = subprocess.Popen([program, "lo", A, B], stdout=out)
        try:
            call(MDFH, "sim", *DAY, "--rate", "50000", "--interface", "lo", "--group", A, "--group-b", B,
                 "--wait-for-listener", "60", "--linger", "0.5")
            feed.send_signal(signal.SIGINT)
            assert feed.wait(timeout=60) == 0
        finally:
            feed.kill()
            feed.wait()
        out.seek(0)
        lines = out.read().splitlines()
    assert len(lines) == trades and all(" @ " in line for line in lines), (len(lines), trades, lines[-3:])


def is_root():
    with open("/proc/self/uid_map", encoding="utf-8") as file:
        return file.read().split() == ["0", "0", "4294967295"]


def check_modules():
    found = {os.path.basename(path)[len("mdfh_"):-len(".so")]
             for path in glob.glob(f"{LIBRARIES}/mdfh/mdfh_*.so")}
    text = call(MDFH, "backends")
    assert "socket     available" in text, text
    for name in found:
        assert f"there is no module mdfh_{name}.so" not in text, text
        if re.search(f"^{name} +available", text, re.M):  # else a kernel or a privilege is missing
            if name == "xdp" and not is_root():  # programs are the host's affair
                continue
            call(MDFH, "conformance", name, *(["--medium", "frames4", "--interface", DEVICES[name],
                                               "--peer", "mdfh1"] if name in DEVICES else []))
    return found


def check_shared():
    programs = compile_all()
    assert all(map(needs_libmdfh, programs.values())), programs
    trades = check_cxx(programs["program.cc"])
    check_ingest(programs["ingest.c"], trades)
    check_example_module()
    modules = check_modules()
    print(f"{len(programs)} programs, {trades} trades, modules: {' '.join(sorted(modules)) or 'none'}")


def check_static():
    programs = compile_all("--static")
    assert not any(map(needs_libmdfh, programs.values())), programs
    check_cxx(programs["program.cc"])


def main():
    enter_namespaces()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if not IS_INSTALLED:
            tree, static = os.path.join(folder, "tree"), os.path.join(folder, "static")
            call(MESON, "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", tree)
            shutil.copytree(tree, static, symlinks=True)
            for path in glob.glob(f"{static}{LIBRARIES}/libmdfh.so*"):
                os.remove(path)
            lay_over(static)
            check_static()
            call("umount", "--lazy", PREFIX)  # the prefix may be /usr, which umount itself is in
            lay_over(tree)
        check_shared()


if __name__ == "__main__":
    main()
