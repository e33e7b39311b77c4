#!/usr/bin/env python3
"""The virtual machine itself: what fails inside fails outside, and everything ends."""
import os
import subprocess
import sys
import tempfile
import time

from vm import SKIP, Archive, Failed, Machine, Missing

VM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vm.py")


def command_line(*arguments):
    return subprocess.run([sys.executable, VM, *arguments], capture_output=True, text=True,
                          check=False)


def fails(machine, commands, *said):
    """The machine reports that, each of said in it."""
    try:
        machine.run(commands)
    except Failed as why:
        for text in said:
            assert text in str(why), f"{text!r} is not said:\n{why}"
        return
    raise AssertionError(f"{commands} did not fail")


def results():
    """Output and exit codes, byte for byte, of programs that succeed, fail, hang and are killed."""
    results_ = Machine(seconds=10, environment={"MDFH_WORD": "two words"}).run([
        "printf '=1 0 9 9\\nno end of line'; echo error >&2",
        "exit 77",
        "echo before; while true; do :; done",
        "kill -SEGV $$",
        "seq 100000; echo $MDFH_WORD",
        "no-such-program",
        "cat; id -u; ls /sys/class/net",
    ])
    assert [r.code for r in results_] == [0, 77, 137, 139, 0, 127, 0], results_
    assert (results_[0].out, results_[0].err) == ("=1 0 9 9\nno end of line", "error\n")
    assert results_[2].out == "before\n"
    assert results_[4].out == "".join(f"{n}\n" for n in range(1, 100001)) + "two words\n"
    assert "no-such-program: not found" in results_[5].err
    assert results_[6].out == "0\nlo\n"


def panic():
    fails(Machine(), ["echo first", "echo c >/proc/sysrq-trigger; sleep 60", "echo last"],
          "the machine ended before this did: echo c", "--- echo first: exit code 0\nfirst",
          "Kernel panic - not syncing: sysrq triggered crash")


def no_init():
    fails(Machine(append="rdinit=/no-such-file"), ["true"], "the machine ended before its setup",
          "Kernel panic")


def setup():
    fails(Machine(setup="echo this; false; echo that"), ["echo never"], "setup: exit code 1\nthis\n")
    fails(Machine(qemu=["-no-such-option"]), ["true"], "QEMU: exit code 1", "no-such-option")
    fails(Machine(modules=["vfio no_such_parameter=1"], setup="insmod /no/such.ko"), ["true"],
          "setup: exit code 254", "unknown parameter 'no_such_parameter'")
    try:
        Machine(modules=["no_such_module"]).run(["true"])
    except Missing as why:
        assert "no_such_module" in str(why)
    else:
        raise AssertionError("a module that is missing was not missed")


def bounded():
    """A machine that never ends is stopped, and nothing of it is left."""
    mark = f"mdfh_mark={os.getpid()}"
    machine = Machine(append=mark, limit=40)
    started = time.monotonic()
    # It stands still after its panic instead of starting again.
    fails(machine, ["echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger"],
          f"did not end in {machine.limit} s and was stopped", "sysrq triggered crash")
    assert time.monotonic() - started < 120
    assert not left(mark)


def orphan():
    """A test that is killed takes its machine along."""
    mark = f"mdfh_mark=orphan{os.getpid()}"
    # What it has no time to remove goes where it is removed.
    with tempfile.TemporaryDirectory() as folder:
        check_orphan(mark, dict(os.environ, TMPDIR=folder))


def check_orphan(mark, environment):
    process = subprocess.Popen([sys.executable, VM, "--append", mark, "--", "sleep", "1000"],
                               env=environment)
    deadline = time.monotonic() + 60
    while not left(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left(mark), "the machine did not start"
    process.kill()
    process.wait()
    while left(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left(mark), "the machine outlived its test"


def left(mark):
    """Whether a QEMU with that on its kernel's command line runs."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as stream:
                words = stream.read().split("\0")
        except OSError:
            continue
        if "qemu" in words[0] and any(mark in word for word in words):
            return True
    return False


def from_the_command_line():
    one = command_line("--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (one.returncode, one.stdout) == (3, "out\n") and one.stderr.startswith("err\n"), one
    two = command_line("--memory", "256", "--", "true", "+", "sh", "-c", "exit 77")
    assert two.returncode == SKIP and "exit code 77" in two.stdout, two
    none = command_line("--", "no-such-program")
    assert none.returncode == SKIP and none.stdout == "no-such-program is not installed\n", none


def archive():
    """Links stay links, folders are taken whole, a library once."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/data")
        for name in ("one", "two"):
            with open(f"{folder}/data/{name}", "w", encoding="utf-8") as stream:
                stream.write(name)
        os.symlink("one", f"{folder}/data/link")
        result, = Machine(files=[f"{folder}/data"]).run([
            f"cd {folder}/data && cat one two link && readlink link"])
        assert result.check() == "onetwooneone\n", result
        made = Archive(f"{folder}/archive")
        made.file("/bin/ls")
        made.file("/usr/bin/ls")
        made.close()
        assert "/usr/bin/ls" in made.names and "/bin/ls" not in made.names
        assert any(name.endswith("/libc.so.6") for name in made.names)


def network():
    """Devices of one hub reach each other."""
    machine = Machine(
        cpus=2, modules=["virtio_pci", "virtio_net"], programs=["ip"],
        qemu=["-netdev", "hubport,id=a,hubid=0", "-device", "virtio-net-pci,netdev=a",
              "-netdev", "hubport,id=b,hubid=0", "-device", "virtio-net-pci,netdev=b,mac=52:54:00:00:00:02"],
        setup="""
            ip netns add other
            ip link set eth0 netns other
            ip -n other address add 10.0.0.1/24 dev eth0
            ip -n other link set eth0 up
            ip address add 10.0.0.2/24 dev eth1
            ip link set eth1 up
            """)
    ping, _ = machine.run(["ping -c 3 -W 10 10.0.0.1", "ip -n other -s link show eth0"])
    assert "3 packets received" in ping.check(), ping.out


try:
    for test in (results, panic, no_init, setup, bounded, orphan, from_the_command_line, archive, network):
        began = time.monotonic()
        test()
        print(f"ok: {test.__name__}, {time.monotonic() - began:.0f} s", flush=True)
except Missing as why_:
    print(why_)
    sys.exit(SKIP)
