#!/usr/bin/env python3
"""Every command line shown in a document is run: test_documents.py [--show] [DOCUMENT...]

Command lines stand in ```sh blocks. The blocks of a document run in order, each in a shell of its own
(bash -eu -o pipefail), in one scratch folder and one network namespace, which has lo, a route for
multicast, and the veth devices eth1 and eth2 with addresses. `mdfh` and the tools are on PATH, the
sources of examples/ and the build folder, as build/, in the folder, and pkg-config knows mdfh. A YAML
block whose first line is `# NAME.yaml` is that file. Words after sh say what is special:

    exit=N   the block ends with N
    host     it changes the whole machine: its commands and keys are looked up instead of used
    ci       it is a script or a build, which continuous integration runs: where is in RUN_BY_CI

C and Python blocks stand word for word in a program under examples/ or tests/, or in a public header; YAML
blocks are read by the command that they are for. No command line hides in another kind of block."""
import concurrent.futures
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

from documents import Block, blocks, contains, documents, prose, programs, yaml_name

SOURCE = pathlib.Path(os.environ.get('MDFH_SOURCE', pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get('MDFH_BUILD', SOURCE / 'build'))
ONLY = [argument for argument in sys.argv[1:] if argument.endswith('.md')]
DOCUMENTS = {name: text for name, text in documents(SOURCE).items() if not ONLY or name in ONLY}
BLOCK_SECONDS = 120

# What a block marked ci may hold: the start of a line, and the file and text that show that it is run.
RUN_BY_CI = [
    (r'(\./)?scripts/demo\.sh', '.ci/run', 'scripts/demo.sh'),
    (r'(\./)?scripts/test\.sh', '.ci/run', 'scripts/test.sh'),
    (r'(\./)?scripts/test_kernel_bypass\.sh', 'tests/tools/meson.build', 'test_kernel_bypass.sh'),
    (r'(\./)?scripts/build\.sh', '.ci/run', 'scripts/build.sh'),
    (r'(\./)?scripts/setup\.sh', 'scripts/test.sh', 'scripts/setup.sh'),
    (r'(\./)?scripts/check\.sh format', '.ci/run', 'scripts/check.sh format'),
    (r'(\./)?scripts/check\.sh tidy', '.ci/run', 'scripts/check.sh tidy'),
    (r'(\./)?scripts/check\.sh doxygen', '.ci/run', 'scripts/check.sh doxygen'),
    (r'(\./)?scripts/check\.sh shell', '.ci/run', 'scripts/check.sh shell'),
    (r'(\./)?scripts/check_abi\.sh', '.ci/run', 'scripts/check_abi.sh'),
    (r'(\./)?scripts/check_dist\.sh', '.ci/run', 'scripts/check_dist.sh'),
    (r'(\./)?scripts/check_package\.sh', '.ci/run', 'scripts/check_package.sh'),
    (r'dpkg-buildpackage -us -uc -b$', 'scripts/check_package.sh', 'dpkg-buildpackage -us -uc -b'),
    (r'meson install -C build$', 'tests/install/test_outside.py', '"install", "-C"'),
    (r'(\./)?\.ci/run', '.ci/run', 'job tests'),
    (r'meson setup', 'scripts/build.sh', 'meson setup'),
    (r'(ninja|meson compile)', 'scripts/build.sh', 'ninja'),
    (r'meson test', 'scripts/test.sh', 'meson test'),
    (r'tests/vm/vm\.py', 'tests/vm/test_vm.py', 'VM, *arguments'),
    (r'cd ', '.ci/run', 'cd '),
]

DRIVER = r'''
set -u
mount -t tmpfs tmpfs /dev/shm # documents that run at the same time share no names
ip link set lo up multicast on
ip route add 239.0.0.0/8 dev lo
for n in 1 2; do
	ip link add eth$n type veth peer name exchange$n
	ip address add 10.0.$n.1/24 dev eth$n
	ip address add 10.0.$n.2/24 dev exchange$n
	ip link set eth$n up multicast on
	ip link set exchange$n up multicast on
done
status=0
while read -r block line want; do
	echo "--- line $line"
	start=$SECONDS
	timeout --kill-after 5 "$1" bash -eu -o pipefail "$2/$block" </dev/null
	got=$?
	if [ "$got" -eq 124 ]; then
		echo "--- line $line: not done after $1 s"
		status=1
	elif [ "$got" -ne "$want" ]; then
		echo "--- line $line: ended with $got instead of $want"
		status=1
	fi
	echo "--- line $line: $((SECONDS - start)) s"
done <"$2/list"
exit $status
'''


def sh_blocks(name):
    return [block for block in blocks(name, DOCUMENTS[name]) if block.language == 'sh']


def command_lines(block):
    """A block's lines, those continued with a backslash joined."""
    text = block.text.replace('\\\n', ' ')
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith('#')]


def prepare(scratch, name):
    """What is there before a document's first block runs. Returns the environment."""
    work = scratch / 'work'
    programs = scratch / 'bin'
    work.mkdir()
    programs.mkdir()
    for folder in ('examples', 'scenarios'):
        shutil.copytree(SOURCE / folder, work / folder)
    (work / 'build').symlink_to(BUILD)
    for block in blocks(name, DOCUMENTS.get(name, '')):
        if block.language == 'yaml' and yaml_name(block):
            (work / yaml_name(block)).write_text(block.text)
    # Modules are looked for in the install folder; those of this build are in another.
    modules = BUILD / 'modules'
    wrapper = programs / 'mdfh'
    wrapper.write_text(
        '#!/bin/sh\n'
        f'[ "${{1:-}}" = --modules ] || [ ! -d {shlex.quote(str(modules))} ] ||'
        f' set -- --modules {shlex.quote(str(modules))} "$@"\n'
        f'exec {shlex.quote(str(BUILD / "src" / "apps" / "mdfh"))} "$@"\n')
    wrapper.chmod(0o755)
    environment = dict(os.environ)
    environment['PATH'] = f'{programs}:{BUILD}:{environment["PATH"]}'
    environment['PKG_CONFIG_PATH'] = str(BUILD / 'meson-uninstalled')
    # Before it is installed, a library's headers are in two places that pkg-config is not told of.
    environment['C_INCLUDE_PATH'] = f'{SOURCE / "include"}:{BUILD / "include"}'
    environment['LD_LIBRARY_PATH'] = str(BUILD)
    return environment


def run_document(name):
    return run_blocks(name, [block for block in sh_blocks(name)
                             if 'host' not in block.attributes and 'ci' not in block.attributes])


def run_blocks(name, runnable):
    with tempfile.TemporaryDirectory(prefix='mdfh-doc-') as folder:
        scratch = pathlib.Path(folder)
        environment = prepare(scratch, name)
        lines = []
        for number, block in enumerate(runnable):
            (scratch / f'block{number}').write_text(block.text)
            lines.append(f'block{number} {block.line} {block.attributes.get("exit", 0)}\n')
        (scratch / 'list').write_text(''.join(lines))
        (scratch / 'driver').write_text(DRIVER)
        user = [] if os.geteuid() == 0 else ['--user', '--map-root-user']
        # The process namespace ends whatever a block has left running.
        command = ['unshare', *user, '--net', '--pid', '--fork', '--kill-child', '--mount-proc', '--',
                   'bash', str(scratch / 'driver'), str(BLOCK_SECONDS), str(scratch)]
        done = subprocess.run(command, cwd=scratch / 'work', env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout, len(runnable)


class Documents(unittest.TestCase):
    maxDiff = None

    def test_command_lines_stand_in_sh_blocks(self):
        hidden = re.compile(r'(\$ |(sudo )?(mdfh [a-z]+( |$)|(\./)?scripts/|\.ci/run|apt(-get)? |sysctl |ip link ))')
        for name, text in DOCUMENTS.items():
            for number, line in prose(text):
                self.assertNotRegex(line, r'^( {4,}|\t)' + hidden.pattern, f'{name}:{number}: put it into a ```sh block')
            for block in blocks(name, text):
                if block.language == 'sh':
                    self.assertLessEqual(set(block.attributes), {'exit', 'host', 'ci'}, block)
                    continue
                self.assertIn(block.language, ('', 'text', 'c', 'python', 'yaml', 'json'), f'{block}: shell is ```sh')
                for line in block.text.splitlines():
                    self.assertNotRegex(line, '^' + hidden.pattern, f'{block}: put it into a ```sh block')

    def test_code_is_in_programs(self):
        sources = programs(SOURCE)
        for name, text in DOCUMENTS.items():
            for block in blocks(name, text):
                if block.language not in ('c', 'python') or block.text.startswith('#include <mdfh/'):
                    continue  # the prototypes of a synopsis, which test_man holds against the headers
                where = [source for source, whole in sources.items() if contains(whole, block.text)]
                headers = [path.name for path in (SOURCE / 'include' / 'mdfh').glob('*.h')
                           if contains(path.read_text(), block.text)]
                self.assertTrue(where or headers, f'{block}: no file under examples/ or tests/ has these lines')

    def test_yaml_blocks_are_read(self):
        for name, text in DOCUMENTS.items():
            shell = ''.join(block.text for block in sh_blocks(name))
            for block in blocks(name, text):
                if block.language == 'yaml':
                    self.assertTrue(yaml_name(block), f'{block}: its first line must be `# NAME.yaml`')
                    self.assertIn(yaml_name(block), shell, f'{block}: no command of the document reads it')

    def test_links(self):
        for name, text in DOCUMENTS.items():
            for number, line in prose(text):
                for target in re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', line):
                    path = (SOURCE / name).parent / target
                    self.assertTrue(path.exists(), f'{name}:{number}: there is no {target}')

    def test_ci_blocks_are_run_by_ci(self):
        for name in DOCUMENTS:
            for block in sh_blocks(name):
                if 'ci' not in block.attributes:
                    continue
                for line in command_lines(block):
                    for pattern, path, text in RUN_BY_CI:
                        if re.match(pattern, line):
                            self.assertIn(text, (SOURCE / path).read_text(), f'{block}: {line}')
                            print(f'{block}: not run here, {path} does: {line}')
                            break
                    else:
                        self.fail(f'{block}: {line}: RUN_BY_CI does not say where it is run')

    def test_examples_of_help(self):
        lines = help_examples()
        self.assertTrue(lines)
        # What runs until it is told to stop is told so after a second, and must take it well.
        examples = [Block('--help', number, 'sh', {}, f'timeout --preserve-status 1 {line}\n')
                    for number, line in enumerate(lines, 1)]
        status, output, _ = run_blocks('--help', examples)
        self.assertEqual(status, 0, output)

    def test_host_blocks_name_what_exists(self):
        for name in DOCUMENTS:
            for block in sh_blocks(name):
                if 'host' not in block.attributes:
                    continue
                syntax = subprocess.run(['bash', '-n'], input=block.text, text=True, capture_output=True, check=False)
                self.assertEqual(syntax.returncode, 0, f'{block}: {syntax.stderr}')
                for line in command_lines(block):
                    words = line.removeprefix('sudo ').split()
                    print(f'{block}: not run, it changes the whole machine: {line}')
                    # A host has systemd, a container that the tests run in may not.
                    self.assertTrue(shutil.which(words[0]) or
                                    words[0] in ('for', 'do', 'done', 'if', 'fi', 'cd', 'systemctl'),
                                    f'{block}: there is no program {words[0]}')
                    for key in re.findall(r'\b((?:net|kernel|vm)\.[a-z_]+(?:\.[a-z_0-9]+)*)\s*=', line):
                        self.assertTrue((pathlib.Path('/proc/sys') / key.replace('.', '/')).exists(), f'{block}: {key}')


def help_examples():
    """The command lines that a --help text shows: `Example: mdfh ...`, to the end of its paragraph."""
    mdfh = BUILD / 'src' / 'apps' / 'mdfh'
    found = []
    commands = re.findall(r'^  ([a-z]+) ', subprocess.run([mdfh, '--help'], capture_output=True, text=True,
                                                           check=True).stdout, re.M)
    programs_ = [[mdfh, command] for command in commands] + sorted([path] for path in BUILD.glob('*_test'))
    for program in programs_:
        text = subprocess.run([*program, '--help'], capture_output=True, text=True, check=True).stdout
        for example in re.findall(r'^Examples?: (.+?)(?:\n\n|\Z)', text, re.M | re.S):
            found.append(' '.join(example.split()))
    return found


def add_runs(pool):
    """A test for each document with command lines to run; two run at a time, each in namespaces of its own."""
    def test_of(name):
        run = pool.submit(run_document, name)

        def test(self):
            status, output, count = run.result()
            self.assertEqual(status, 0, f'{name}:\n{output}')
            print(output if '--show' in sys.argv else f'{name}: {count} blocks ran')
        return test

    for name in DOCUMENTS:
        if any('host' not in b.attributes and 'ci' not in b.attributes for b in sh_blocks(name)):
            setattr(Documents, f'test_run_{re.sub(r"[^a-zA-Z0-9]+", "_", name)}', test_of(name))


if __name__ == '__main__':
    probe = subprocess.run(['unshare', *([] if os.geteuid() == 0 else ['--user', '--map-root-user']), '--net', '--pid',
                            '--fork', '--mount-proc', 'true'], capture_output=True, text=True, check=False)
    if probe.returncode:
        print(f'network namespaces cannot be made here: {probe.stderr.strip()}')
        sys.exit(77)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        add_runs(pool)
        unittest.main(argv=sys.argv[:1])
