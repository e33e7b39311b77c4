#!/usr/bin/env python3
"""Run programs in a virtual machine: Debian's kernel under QEMU, with devices that the host lacks.

usage: vm.py [OPTION...] -- PROGRAM [ARGUMENT...] [+ PROGRAM [ARGUMENT...]]...

  --memory MB        of the machine (512)
  --cpus N           (1)
  --nodes N          NUMA nodes, among which memory and processors are divided (1)
  --module NAME      kernel module to load, with those it needs: "vfio_iommu_type1 x=1" (any number)
  --file PATH        program, library or other file to take along, a folder with all in it
  --append TEXT      added to the kernel's command line ("hugepages=64")
  --qemu TEXT        added to QEMU's arguments (-netdev hubport,...)
  --setup TEXT       shell commands that must succeed before the programs run
  --seconds N        limit of each program (120)

A program is found and named inside as it is outside, and comes with the shared libraries that it is
linked with; what it opens by name (modules, providers, data) is named with --file. Its output and
its exit code come back. Of several programs: 1 where one failed, else 77 where one was skipped. Where
QEMU or the kernel package is missing that is said, and the exit code is 77.

Emulation needs no privilege and no KVM. Inside, everything is root. The machine has no network but
what --qemu gives it, and no disk: its root is memory and ends with it.
"""
import argparse
import ctypes
import glob
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

SKIP = 77
BOOT_SECONDS = 120  # about 5 where nothing else runs
RECORD = re.compile(rb"=(\d+) (\d+) (\d+) (\d+)\n")
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

# Results go to the second serial port, in the order of the programs: a line "=INDEX EXIT OUT ERR",
# then OUT bytes of standard output and ERR of standard error.
INIT = """#!/bin/sh
export PATH=%(paths)s HOME=/root LC_ALL=C.UTF-8 %(environment)s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts /dev/hugepages
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t hugetlbfs huge /dev/hugepages
stty -F /dev/ttyS1 raw -echo
exec 9>/dev/ttyS1
ip link set lo up
send() {
	echo "=$1 $2 $(wc -c </run/out) $(wc -c </run/err)" >&9
	cat /run/out /run/err >&9
}
run() {
	timeout -s KILL %(seconds)d /bin/sh "/vm/$1" </dev/null >/run/out 2>/run/err 9>&-
	code=$?
	send "$1" $code
	return $code
}
if run 0; then
	index=1
	while [ -f "/vm/$index" ]; do
		run $index
		index=$((index + 1))
	done
fi
sync
poweroff -f
"""


class Missing(Exception):
    """What is needed to start a machine is not installed."""


class Failed(Exception):
    """The machine did not do what it was started for. The text says why, and holds its log."""


@dataclass
class Result:
    """Of one program."""
    command: str
    code: int
    out: str
    err: str

    def check(self):
        """Its standard output, where it succeeded."""
        if self.code != 0:
            raise Failed(f"{self.command}: exit code {self.code}\n{self.out}{self.err}")
        return self.out


def kernel():
    """The newest kernel that is installed with its modules: (image, release)."""
    images = glob.glob("/boot/vmlinuz-*")
    found = [image for image in images if os.path.isdir(modules_folder(release_of(image)))]
    if not found:
        raise Missing("no kernel: no /boot/vmlinuz-* that has its /lib/modules"
                      " (package linux-image-amd64)")
    image = max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path)])
    if not os.access(image, os.R_OK):
        raise Missing(f"{image} cannot be read by this user")
    return image, release_of(image)


def release_of(image):
    return os.path.basename(image).removeprefix("vmlinuz-")


def modules_folder(release):
    return f"/lib/modules/{release}/kernel"


class Archive:
    """A file system in memory: an archive in the cpio format "newc" that the kernel unpacks."""

    def __init__(self, path):
        self.stream = open(path, "wb")
        self.names = set()

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.names.add(name)
        encoded = name.lstrip("/").encode() + b"\0"
        fields = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        head = b"070701" + b"".join(b"%08x" % value for value in fields) + encoded
        self.stream.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def folder(self, name):
        if name not in self.names and name != "/":
            self.folder(os.path.dirname(name))
            self._entry(name, stat.S_IFDIR | 0o755)

    def data(self, name, data, mode=0o644):
        if name not in self.names:
            self.folder(os.path.dirname(name))
            self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        if name not in self.names:
            self.folder(os.path.dirname(name))
            self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def file(self, path):
        """A file of the host under its own name, a program or library with what it is linked with."""
        path = os.path.abspath(path)
        if os.path.isdir(path):
            for entry in sorted(os.listdir(path)):
                self.file(os.path.join(path, entry))
            self.folder(self._place(path))
            return
        name = self._place(path)
        if name in self.names:
            return
        if os.path.islink(path):
            # Kept a link: who finds a library under two names must see one file.
            self.link(name, os.readlink(path))
            self.file(os.path.join(os.path.dirname(name), os.readlink(path)))
            return
        with open(path, "rb") as stream:
            data = stream.read()
        self.data(name, data, stat.S_IMODE(os.stat(path).st_mode) | 0o444)
        if data[:4] == b"\x7fELF":
            for library in libraries(path):
                self.file(library)
                if os.path.basename(library) == "libc.so.6":
                    # glibc opens it by name, for the end of a thread.
                    self.file(os.path.join(os.path.dirname(library), "libgcc_s.so.1"))

    @staticmethod
    def _place(path):
        # /lib is a link to /usr/lib, inside too: a name has one place.
        return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))

    def close(self):
        self._entry("TRAILER!!!", 0)
        self.stream.close()


def libraries(path):
    """The shared libraries that a program or library is linked with, all levels."""
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    absent = re.findall(r"(\S+) => not found", listed)
    if absent:
        raise Missing(f"{path} needs {', '.join(absent)}, which is not installed")
    return re.findall(r"(/\S+) \(0x", listed)


def program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":" + PATHS)
    if not path:
        raise Missing(f"{name} is not installed")
    return os.path.abspath(path)


def module_lines(release, wanted, archive):
    """Takes the named modules and those they need along: the commands that load them, in order."""
    folder = f"/lib/modules/{release}"
    needs, path_of, lines = {}, {}, []
    with open(f"{folder}/modules.dep", encoding="utf-8") as stream:
        for line in stream:
            path, _, others = line.partition(":")
            needs[path] = others.split()
            path_of[os.path.basename(path).split(".")[0].replace("-", "_")] = path
    with open(f"{folder}/modules.builtin", encoding="utf-8") as stream:
        builtin = {os.path.basename(line.strip()).split(".")[0].replace("-", "_") for line in stream}
    loaded = set()
    for text in wanted:
        name, _, options = text.partition(" ")
        name = name.replace("-", "_")
        if name in builtin:
            continue
        if name not in path_of:
            raise Missing(f"the kernel {release} has no module {name}")
        # modules.dep lists what a module needs after those that need it.
        for path in [*reversed(needs[path_of[name]]), path_of[name]]:
            if path in loaded:
                continue
            loaded.add(path)
            inside = f"/vm/modules/{os.path.basename(path).split('.')[0]}.ko"
            archive.data(inside, unpacked(f"{folder}/{path}"))
            lines.append(f"insmod {inside} {options if path == path_of[name] else ''}")
    return lines


def unpacked(path):
    tool = {".xz": "xz", ".zst": "zstd", ".gz": "gzip"}.get(os.path.splitext(path)[1])
    if tool:
        return subprocess.run([program(tool), "-dc", path], capture_output=True, check=True).stdout
    with open(path, "rb") as stream:
        return stream.read()


def end_with_parent():
    """QEMU does not outlive the test, however that ends (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


@dataclass
class Machine:
    """What the command line says, for tests written in Python."""
    memory: int = 512
    cpus: int = 1
    nodes: int = 1
    modules: list = field(default_factory=list)
    programs: list = field(default_factory=list)  # those that shell commands use
    files: list = field(default_factory=list)
    append: str = ""
    qemu: list = field(default_factory=list)
    setup: str = ""
    seconds: int = 120  # limit of each command
    limit: int = 0  # of all in all; 0 = time to start, and for each command
    environment: dict = field(default_factory=dict)
    console: str = ""  # the kernel's log, after run

    def run(self, commands):
        """Starts the machine and runs commands, shell text each: a list of Result. Raises Failed
        where the machine or the setup failed, Missing where something is not installed."""
        qemu = program("qemu-system-x86_64")
        image, release = kernel()
        with tempfile.TemporaryDirectory(prefix="mdfh-vm-") as folder:
            initrd, console, results = (f"{folder}/{name}" for name in ("initrd", "log", "results"))
            self._pack(initrd, release, commands)
            arguments = [
                qemu, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", str(self.cpus),
                "-m", str(self.memory), *self._numa(),
                "-kernel", image, "-initrd", initrd, "-append",
                "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic " + self.append,
                "-serial", f"file:{console}", "-serial", f"file:{results}", *self.qemu]
            limit = self.limit or BOOT_SECONDS + self.seconds * (len(commands) + 1)
            trouble = self._start(arguments, limit)
            with open(console, "a+", encoding="utf-8", errors="replace") as stream:
                stream.seek(0)
                self.console = stream.read()
            with open(results, "ab+") as stream:
                stream.seek(0)
                found = self._results(stream.read(), ["setup", *commands])
        if trouble or not found:
            raise Failed(self._report(trouble or "the machine ended before its setup did", found))
        setup = found.pop(0)
        if setup.code != 0:
            raise Failed(self._report(f"setup: exit code {setup.code}\n{setup.out}{setup.err}", []))
        if len(found) != len(commands):
            raise Failed(self._report(
                f"the machine ended before this did: {commands[len(found)]}", found))
        return found

    def _pack(self, path, release, commands):
        archive = Archive(path)
        archive._entry(".", stat.S_IFDIR | 0o755)
        archive.device("/dev/console", 5, 1)
        for name in ("bin", "sbin", "lib", "lib64"):
            archive.link(f"/{name}", f"usr/{name}")
        archive.link("/var/run", "/run")
        for name in ("proc", "sys", "tmp", "run", "root", "etc", "usr/lib64"):
            archive.folder(f"/{name}")
        for name in self.programs:
            archive.file(program(name))
        for path_ in self.files:
            archive.file(path_)
        archive.data("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        archive.data("/etc/group", b"root:x:0:\n")
        lines = module_lines(release, self.modules, archive)
        archive.data("/vm/0", "\n".join(["set -e", *lines, self.setup, ""]).encode())
        for index, command in enumerate(commands, start=1):
            archive.data(f"/vm/{index}", (command + "\n").encode())
        environment = " ".join(f"{k}={shlex.quote(v)}" for k, v in self.environment.items())
        archive.data("/init", (INIT % {"paths": PATHS, "environment": environment,
                                       "seconds": self.seconds}).encode(), 0o755)
        busybox = program("busybox")
        if libraries(busybox):
            raise Missing("busybox is not the static one (package busybox-static)")
        archive.file(busybox)
        # Not busybox's own shell: it would take busybox's programs before those that were named.
        archive.file(program("dash"))
        archive.link("/usr/bin/sh", "dash")
        applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
        for name in applets.stdout.split():
            archive.link(f"/usr/bin/{name}", busybox)
        archive.close()

    def _numa(self):
        if self.nodes == 1:
            return []
        memory, cpus = self.memory // self.nodes, self.cpus // self.nodes
        arguments = []
        for node in range(self.nodes):
            arguments += ["-object", f"memory-backend-ram,id=node{node},size={memory}M", "-numa",
                          f"node,nodeid={node},memdev=node{node}"
                          f",cpus={node * cpus}-{node * cpus + cpus - 1}"]
        return arguments

    @staticmethod
    def _start(arguments, limit):
        """Runs QEMU to its end. What is wrong with that, or None."""
        with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              preexec_fn=end_with_parent) as process:
            try:
                said, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return f"the machine did not end in {limit} s and was stopped"
        return f"QEMU: exit code {process.returncode}\n{said}" if process.returncode else None

    @staticmethod
    def _results(data, commands):
        """As many as are whole."""
        found, at = [], 0
        for command in commands:
            head = RECORD.match(data, at)
            if not head:
                break
            code, out, err = (int(text) for text in head.groups()[1:])
            at = head.end() + out + err
            if at > len(data):
                break
            text = data[head.end():at]
            found.append(Result(command, code, text[:out].decode(errors="replace"),
                                text[out:].decode(errors="replace")))
        return found

    def _report(self, what, found):
        done = "".join(f"--- {r.command}: exit code {r.code}\n{r.out}{r.err}" for r in found)
        return f"{what}\n{done}--- log of the kernel\n{self.console}"


def soft_roce(**options):
    """A machine in which an Ethernet interface, eth0 with 10.0.0.1, carries the RDMA device rxe0."""
    return Machine(
        modules=["dummy numdummies=0", "crc32_generic", "rdma_rxe", "rdma_ucm", "ib_umad"],
        programs=["ip", "rdma"],
        files=["/etc/libibverbs.d/rxe.driver", *glob.glob("/usr/lib/*/libibverbs/librxe-*.so")],
        setup="""
            ip link add eth0 type dummy
            ip address add 10.0.0.1/24 dev eth0
            ip link set eth0 up multicast on
            ip route add 239.0.0.0/8 dev eth0
            rdma link add rxe0 type rxe netdev eth0
        """, **options)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ", 1)[1].split("\n\n")[0],
                                     add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--module", action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--append", default="")
    parser.add_argument("--qemu", type=shlex.split, default=[])
    parser.add_argument("--setup", default="")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if given.help:
        print(__doc__)
        return 0
    programs = [[]]
    for word in given.words[1:] if given.words[:1] == ["--"] else given.words:
        if word == "+":
            programs.append([])
        else:
            programs[-1].append(word)
    if not all(programs):
        parser.error("no program is named")
    machine = Machine(given.memory, given.cpus, given.nodes, given.module,
                      files=given.file, append=given.append, qemu=given.qemu, setup=given.setup,
                      seconds=given.seconds)
    codes = set()
    try:
        for words in programs:
            words[0] = program(words[0])
            machine.programs.append(words[0])
        for result in machine.run([shlex.join(words) for words in programs]):
            if len(programs) > 1:
                print(f"--- {result.command}: exit code {result.code}")
            print(result.out, end="", flush=True)
            print(result.err, end="", file=sys.stderr, flush=True)
            codes.add(result.code)
    except Missing as why:
        print(why)
        return SKIP
    except Failed as why:
        print(why)
        return 1
    if codes - {0, SKIP}:
        print(f"--- log of the kernel\n{machine.console}", file=sys.stderr)
    if len(codes) == 1:
        return codes.pop()
    return 1 if codes - {0, SKIP} else SKIP


if __name__ == "__main__":
    sys.exit(main())
