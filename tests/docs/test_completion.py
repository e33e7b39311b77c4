#!/usr/bin/env python3
"""Completion of bash and zsh, as the shells do it: test_completion.py MDFH_FOLDER

bash: the function is called with the words of a command line. zsh: a real shell on a terminal, a line
typed into it, and the matches that its completion adds."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

FOLDER = pathlib.Path(sys.argv[1]).resolve()
BUILD = pathlib.Path(os.environ['MDFH_BUILD'])
COMPLETIONS = pathlib.Path(os.environ['MDFH_SOURCE']) / 'completions'
FILES = ['day.itch', 'day.pcapng', 'day.pcap.gz', 'feed.yaml', 'books.tsv', 'notes.txt', 'latency.hlog']

BASH = r'''
source /usr/share/bash-completion/bash_completion
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE=$(sed "s/ = /=/" <<<"$*")
COMP_POINT=${#COMP_LINE}
COMP_TYPE=9
COMP_KEY=9
function=$(complete -p "$1" | sed -E 's/.*-F (\w+) .*/\1/')
$function "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}" 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
'''

# Every match that is added goes to a file; a line that ends with the tab is answered by DONE.
ZSH = r'''
fpath=(%(completions)s $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' verbose no
compadd() {
	local -a found
	if [[ "${*%%%% --*}" == *-[OAD]* ]]; then
		builtin compadd "$@"
		return
	fi
	builtin compadd -O found "$@"
	(( $#found )) && print -rl -- $found >>%(out)s
	builtin compadd "$@"
}
typed() { zle complete-word; print DONE >>%(out)s; zle kill-whole-line }
zle -N typed
bindkey '^I' typed
PS1='ready> '
'''


def help_options(*command):
    text = subprocess.run([str(word) for word in command] + ['--help'], capture_output=True, text=True,
                          timeout=60, check=True).stdout
    found = set()
    for line in text.splitlines():
        if re.match(r'\s+-', line):
            left = re.match(r'\s+(.+?)(?:\s{2,}|$)', line).group(1)
            found |= set(re.findall(r'(?<![\w-])(--[a-z][\w-]*)', left))
    return found


class Completion:
    """What both shells must do."""

    def options(self, *words):
        return {word.rstrip('=') for word in self.complete(*words, '--')}

    def test_commands(self):
        commands = set(self.complete('mdfh', ''))
        self.assertGreaterEqual(commands, {'run', 'sim', 'dump', 'book', 'replay', 'compare', 'backends',
                                           'conformance', 'bench'})
        self.assertEqual(self.complete('mdfh', 'ru'), ['run'])
        self.assertIn('run', self.complete('mdfh', '--modules', '.', 'r'))

    def test_options_are_those_of_help(self):
        for command in ('run', 'sim', 'dump', 'book', 'replay', 'compare', 'conformance', 'backends', 'bench'):
            self.assertEqual(self.options('mdfh', command), help_options(FOLDER / 'mdfh', command), command)

    def test_options_of_tools(self):
        for tool in ('simple_bypass_test', 'kernel_bypass_simulation_test'):
            self.assertEqual(self.options(tool), help_options(BUILD / tool), tool)
            self.assertIn('socket', self.complete(tool, '--backend', ''))
        self.assertEqual(sorted(self.complete('kernel_bypass_simulation_test', '--transport', '')),
                         ['multicast', 'tcp', 'udp'])

    def test_values(self):
        self.assertLessEqual({'socket', 'pcap', 'null'}, set(self.complete('mdfh', 'run', '--backend', '')))
        self.assertEqual(self.complete('mdfh', 'run', '--backend', 'pc'), ['pcap'])
        self.assertIn('lo', self.complete('mdfh', 'run', '--interface', ''))
        self.assertEqual(sorted(self.complete('mdfh', 'run', '--idle', '')), ['spin', 'wait'])
        self.assertEqual(sorted(self.complete('mdfh', 'run', '--shard', '')), ['channel', 'instrument'])
        self.assertIn('0', self.complete('mdfh', 'run', '--worker-core', ''))
        self.assertEqual(sorted(self.complete('mdfh', 'sim', '--clock', '')), ['day', 'live'])
        self.assertIn('tops16', self.complete('mdfh', 'dump', '--protocol', ''))
        self.assertEqual(self.complete('mdfh', 'sim', '--rate', ''), [])
        self.assertIn('multicast4', self.complete('mdfh', 'conformance', '--medium', ''))

    def test_files(self):
        self.assertEqual(self.complete('mdfh', 'run', 'f'), ['feed.yaml'])
        self.assertEqual(sorted(self.complete('mdfh', 'dump', 'day')), ['day.itch', 'day.pcap.gz', 'day.pcapng'])
        self.assertEqual(sorted(self.complete('mdfh', 'replay', 'd')), ['day.pcap.gz', 'day.pcapng'])
        self.assertEqual(self.complete('mdfh', 'compare', 'b'), ['books.tsv'])
        self.assertEqual(sorted(self.complete('mdfh', 'run', '--file', 'da')), ['day.pcap.gz', 'day.pcapng'])
        self.assertEqual(self.complete('mdfh', 'bench', 'decode', 'd'), ['day.itch'])
        self.assertEqual(sorted(self.complete('mdfh', 'bench', '')), ['book', 'cores', 'decode', 'pipeline'])
        self.assertIn('null', self.complete('mdfh', 'conformance', ''))
        self.assertEqual(self.complete('mdfh', 'run', '--latency-log', ''), ['latency.hlog'])
        self.assertIn('notes.txt', self.complete('mdfh', 'run', '--password-file', 'n'))


class Shell(unittest.TestCase):
    def setUp(self):
        if not shutil.which(self.program):
            print(f'{self.program} is not installed')
            sys.exit(77)
        self.folder = tempfile.TemporaryDirectory(prefix='mdfh-completion-')
        for name in FILES:
            (pathlib.Path(self.folder.name) / name).touch()
        self.environment = dict(os.environ, PATH=f'{FOLDER}:{BUILD}:{os.environ["PATH"]}', TERM='dumb')

    def tearDown(self):
        self.folder.cleanup()


class Bash(Shell, Completion):
    program = 'bash'

    def complete(self, *words):
        if not os.path.exists('/usr/share/bash-completion/bash_completion'):
            print('bash-completion is not installed')
            sys.exit(77)
        done = subprocess.run(['bash', '-c', BASH, 'bash', COMPLETIONS / 'mdfh.bash', *words],
                              cwd=self.folder.name, env=self.environment, capture_output=True, text=True,
                              timeout=60, check=False)
        return [line for line in done.stdout.splitlines() if line]

    def test_value_after_equals(self):
        self.assertEqual(self.complete('mdfh', 'run', '--idle', '=', 's'), ['spin'])


class Zsh(Shell, Completion):
    program = 'zsh'

    def setUp(self):
        super().setUp()
        self.out = pathlib.Path(self.folder.name) / '.matches'
        setup = pathlib.Path(self.folder.name) / '.setup'
        setup.write_text(ZSH % {'completions': COMPLETIONS, 'out': self.out})
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(self.folder.name)
            os.execvpe('zsh', ['zsh', '-f', '-i'], self.environment)
        self.send(f'source {setup}\n')
        self.wait_for(lambda text: 'ready> ' in text)

    def tearDown(self):
        self.send('\x15exit\n')
        os.close(self.terminal)
        os.waitpid(self.child, 0)
        super().tearDown()

    def send(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, condition):
        """Read what the terminal shows, until the condition is true of it."""
        seen = ''
        end = time.monotonic() + 60
        while not condition(seen):
            self.assertLess(time.monotonic(), end, f'zsh does not answer; the terminal shows: {seen}')
            if select.select([self.terminal], [], [], 0.02)[0]:
                seen += os.read(self.terminal, 65536).decode(errors='replace')

    def complete(self, *words):
        self.out.write_text('')
        self.send(' '.join(words) + '\t')
        self.wait_for(lambda _: self.out.read_text().endswith('DONE\n'))
        return sorted(set(self.out.read_text().split('\n')[:-2]))


del Shell
if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
