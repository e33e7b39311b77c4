#!/usr/bin/env python3
"""The manual pages against what they are about: test_man.py MDFH RENDERED_FOLDER

Options against --help, keys against the configuration's schema, functions against the public headers,
links against the pages that there are; and what lowdown made of them against mandoc and groff."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

MDFH = sys.argv[1]
RENDERED = pathlib.Path(sys.argv[2])
SOURCE = pathlib.Path(os.environ['MDFH_SOURCE'])
PAGES = {path.name.removesuffix('.md'): path.read_text()
         for path in sorted((SOURCE / 'docs' / 'man').glob('*.md'))}
BUILD = pathlib.Path(os.environ['MDFH_BUILD'])
# Programs that are built and have a page, by the page's name.
TOOLS = {page: BUILD / page.rsplit('.', 1)[0]
         for page in PAGES if page.endswith('_test.1')}


def section(page, title):
    match = re.search(rf'^# {re.escape(title)}\n(.*?)(?=^# |\Z)', PAGES[page], re.M | re.S)
    return match.group(1) if match else ''


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)


def commands():
    lines = run(MDFH, '--help').stdout.splitlines()
    return [line.split()[0] for line in lines if re.match(r'  [a-z]', line)]


def help_options(text):
    """The options that a --help text lists: what stands in the left column."""
    found = set()
    for line in text.splitlines():
        if not re.match(r'\s+-', line):
            continue
        left = re.match(r'\s+(.+?)(?:\s{2,}|$)', line).group(1)
        found |= set(re.findall(r'(?<![\w-])(--?[A-Za-z?][\w-]*)', left))
    return found


def page_options(page):
    """The options that a page defines: the terms of its definition lists."""
    found = set()
    for term in re.findall(r'^(\*\*-.*)\n: ', PAGES[page], re.M):
        found |= set(re.findall(r'\*\*(--?[A-Za-z?][\w-]*)\*\*', term))
    return found


def header_functions():
    found = {}
    folder = SOURCE / 'include' / 'mdfh'
    for path in sorted([*folder.glob('*.h'), *folder.glob('*.h.in')]):
        header = path.name.removesuffix('.in').removesuffix('.h')
        text = re.sub(r'/\*.*?\*/', '', path.read_text(), flags=re.S)
        text = re.sub(r'^\s*#.*$', '', text, flags=re.M)
        text = re.sub(r'__attribute__\s*\(\(.*?\)\)\)?', '', text)
        prototypes = re.findall(r'MDFH_API\s+([^;{]+?\([^;{]*\))\s*;', text)
        # Inline functions are declared where a header has helpers that are nobody else's business.
        inline = re.findall(r'static inline\s+([^;{}]+?\([^;{}]*?\))\s*;', text)
        inline = inline or re.findall(r'static inline\s+([^;{}]+?\([^;{}]*?\))\s*\{', text)
        for prototype in prototypes + inline:
            prototype = re.sub(r'\( ', '(', ' '.join(prototype.split()))
            found[re.search(r'(\w+)\(', prototype).group(1)] = (prototype, header)
    return found


def names(page):
    return re.split(r',\s+', re.search(r'# NAME\n\n(.+?)\s+-\s', PAGES[page], re.S).group(1))


class Pages(unittest.TestCase):
    def test_every_command_has_a_page(self):
        self.assertEqual(
            sorted(f'mdfh-{command}.1' for command in commands()),
            sorted(page for page in PAGES if page.startswith('mdfh-')))
        for command in commands():
            self.assertIn(f'**{command}**', section('mdfh.1', 'COMMANDS'))

    def test_sections(self):
        for page in PAGES:
            self.assertIn(page.rsplit('.', 1)[0], names(page), page)
            wanted = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'SEE ALSO']
            if page.endswith('.1'):
                wanted += ['OPTIONS', 'EXIT STATUS', 'EXAMPLES']
            for title in wanted:
                self.assertTrue(section(page, title).strip(), f'{page}: {title}')

    def test_options_of_commands(self):
        for command in commands():
            page = f'mdfh-{command}.1'
            self.assertEqual(help_options(run(MDFH, command, '--help').stdout), page_options(page), page)
        self.assertLessEqual(help_options(run(MDFH, '--help').stdout), page_options('mdfh.1'))

    def test_options_of_tools(self):
        self.assertEqual(sorted(tool.name for tool in BUILD.glob('*_test') if tool.is_file()),
                         sorted(tool.name for tool in TOOLS.values()))
        for page, tool in TOOLS.items():
            help_text = run(tool, '--help')
            self.assertEqual(help_text.returncode, 0, page)
            self.assertEqual(help_options(help_text.stdout), page_options(page), page)

    def test_options_in_the_text_exist(self):
        known = {'--help', '--version', '--usage', '--modules'}
        for command in commands():
            known |= help_options(run(MDFH, command, '--help').stdout)
        for page, text in PAGES.items():
            if page in TOOLS:
                continue
            for option in re.findall(r'\*\*(--[a-z][\w-]*)\*\*', text):
                self.assertIn(option, known, page)

    def test_keys_of_the_configuration(self):
        schema = (SOURCE / 'src' / 'handler' / 'config.c').read_text()
        fields = {}
        for name, body in re.findall(r'cyaml_schema_field_t (\w+)_fields\[\] = \{(.*?)\n\};', schema, re.S):
            fields[name] = set(re.findall(r'(?:CYAML_FIELD_\w+|SWITCH)\(\s*"(\w+)"', body))
        parts = re.split(r'^## (.+)\n', section('mdfh.yaml.5', 'KEYS'), flags=re.M)
        tables = {title: set(re.findall(r'^\| `(\w+)` \|', body, re.M))
                  for title, body in zip(parts[1::2], parts[2::2])}
        place = {'handler': 'Top level', 'thread': 'threads', 'channel': 'channels', 'line': 'lines',
                 'fault': 'fault', 'consumer': 'consumers'}
        self.assertGreater(len(fields), 5)
        self.assertEqual({place.get(name, name): keys for name, keys in fields.items()}, tables)

    def test_keys_of_scenarios(self):
        schema = (SOURCE / 'src' / 'sim' / 'scenario.c').read_text()
        fields = {}
        for name, body in re.findall(r'cyaml_schema_field_t (\w+)_fields\[\] = \{(.*?)\n\};', schema, re.S):
            fields[name] = set(re.findall(r'(?:CYAML_FIELD_\w+|STRING)\(\s*"(\w+)"', body))
            fields[name] |= set(re.findall(r'PERCENT\((\w+)\)', body))
        parts = re.split(r'^## (.+)\n', section('mdfh.scenario.5', 'KEYS'), flags=re.M)
        tables = {title: set(re.findall(r'^\| `(\w+)` \| [^|]*\| [^|]*\|$', body, re.M))
                  for title, body in zip(parts[1::2], parts[2::2])}
        named = re.search(r'event_names\[\] = \{(.*?)\n\};', schema, re.S).group(1)
        kinds = set(re.findall(r'\{"([a-z-]+)",', named))
        listed = set(re.findall(r'^\| `([a-z-]+)` \| .*`.*\| .+ \|$', parts[-3], re.M))
        place = {'scenario': 'Top level', 'mix': 'mix', 'phase': 'phases', 'event': 'events',
                 'instrument': 'instruments', 'fault': 'lines'}
        self.assertEqual(len(kinds), 12)
        self.assertEqual(kinds - listed, set())
        for name, keys in fields.items():
            self.assertEqual(keys - tables[place[name]], set(), name)
            self.assertEqual(tables[place[name]] - keys - kinds, set(), name)

    def test_keys_of_the_summary(self):
        report = (SOURCE / 'src' / 'apps' / 'run_report_json.c').read_text()
        printed = set(re.findall(r'"([a-z][a-z0-9_]+)",\s', report))
        table = set()
        for row in re.findall(r'^\| (.*`.*) \|', section('mdfh-run.1', 'OUTPUT'), re.M):
            table |= set(re.findall(r'`(\w+)`', row))
        self.assertTrue(table)
        self.assertEqual(table - printed, set())

    def test_functions(self):
        functions = header_functions()
        self.assertGreater(len(functions), 100)
        named = {}
        for page in PAGES:
            if not page.endswith('.3'):
                continue
            for name in names(page):
                self.assertNotIn(name, named, f'{page} and {named.get(name)}')
                named[name] = page
        for name, (prototype, header) in functions.items():
            self.assertIn(name, named, f'{name} of mdfh/{header}.h is in the NAME of no page of section 3')
            synopsis = re.sub(r'\( ', '(', ' '.join(section(named[name], 'SYNOPSIS').split()))
            self.assertIn(f'#include <mdfh/{header}.h>', synopsis, name)
            self.assertIn(f'{prototype};', synopsis, f'{named[name]} shows another prototype of {name}')
        own = {page.rsplit('.', 1)[0] for page in PAGES}
        self.assertEqual(set(named) - set(functions) - own, set())

    def test_references(self):
        known = {f'{name}.{page[-1]}' for page in PAGES for name in names(page)}
        for page, text in PAGES.items():
            for name, number in re.findall(r'\*\*([\w.-]+)\*\*\((\d)\)', text):
                if name.startswith('mdfh') or name.endswith('_test'):
                    self.assertIn(f'{name}.{number}', known, page)

    def test_overviews_name_every_page(self):
        for page in PAGES:
            name, number = page.rsplit('.', 1)
            overview = 'mdfh.3' if number == '3' else 'mdfh.1'
            if page != overview:
                self.assertIn(f'**{name}**({number})', section(overview, 'SEE ALSO'), overview)

    def test_source_ends_where_markdown_means_it(self):
        for page, text in PAGES.items():
            self.assertNotIn('\\_', text, f'{page}: underscores need no backslash')


class Rendered(unittest.TestCase):
    def setUp(self):
        for program in ('lowdown', 'mandoc', 'groff'):
            if not shutil.which(program):
                print(f'{program} is not installed')
                sys.exit(77)

    def test_every_page_is_there_and_sound(self):
        self.assertEqual(sorted(PAGES), sorted(p.name for p in RENDERED.glob('*.[135]')))
        for page in PAGES:
            path = RENDERED / page
            lint = run('mandoc', '-T', 'lint', '-W', 'warning', path)
            self.assertEqual((lint.stdout, lint.returncode), ('', 0), page)
            groff = run('groff', '-ww', '-man', '-t', '-Tutf8', path)
            self.assertEqual((groff.stderr, groff.returncode), ('', 0), page)

    def test_text_survives(self):
        text = run('mandoc', '-T', 'ascii', RENDERED / 'mdfh-sim.1').stdout
        text = re.sub(r'.\x08', '', text)
        self.assertIn('--wait-for-listener S', text)
        self.assertIn('mdfh sim --messages 100000 --out day.itch --books-out books.tsv', text)
        text = re.sub(r'.\x08', '', run('mandoc', '-T', 'ascii', RENDERED / 'mdfh_ring_create.3').stdout)
        self.assertIn('int mdfh_ring_create(const struct mdfh_ring_config *config', text)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
