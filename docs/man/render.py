#!/usr/bin/env python3
"""Markdown to a man page: render.py LOWDOWN VERSION DATE NAME.SECTION.md OUTPUT

lowdown does the work. What it writes for man(7) is brought into the form that mandoc and groff both
take without a warning: headings on one line, definitions as tagged paragraphs, code indented and in
a font that both know, lines neither adjusted nor hyphenated, and every hyphen a minus, so that
options can be copied from the screen."""
import pathlib
import re
import subprocess
import sys

CHANGES = [
    (r'\.LP\n([^\n]+)\n\.if n \\\n\.sp -1v\n\.if t \\\n\.sp -0\.25v\n\.IP "" 5n\n', r'.TP 5\n\1\n'),
    (r'\.if n \\\n\.sp -1\n\.if t \\\n\.sp -0\.25v\n\.IP (.+)\n', r'.PD 0\n.IP \1\n.PD\n'),
    (r'\.LP\n\.EX\n', '.PP\n.RS 4\n.EX\n'),
    (r'\n\.EE\n', '\n.EE\n.RE\n'),
    (r'\n\.TE\n', '\n.TE\n.sp\n'),
    (r'(?m)^\.LP$', '.PP'),
    (r'(?m)^\.(SH|SS)\n(.+)\n(?:\.PP\n)?', r'.\1 \2\n'),
    (r'\\fC', r'\\f(CR'),
    (r'(?m)^\.TH', '.nr HY 0\n.nh\n.ad l\n.TH'),
    (r'(?m)^(?!\.)(.*)$', lambda match: match.group(1).replace('-', r'\-')),
]


def escaped(text):
    """The Markdown with the underscores of identifiers escaped, outside code: no emphasis."""
    parts = re.split(r'(?ms)(^```.*?^```$|`[^`\n]+`)', text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r'(?<=\w)_(?=\w)', r'\_', parts[i])
    return ''.join(parts)


def main():
    lowdown, version, date, source, output = sys.argv[1:]
    name, section = pathlib.Path(source).name.removesuffix('.md').rsplit('.', 1)
    metadata = {'title': name, 'section': section, 'date': date, 'source': f'mdfh {version}',
                'volume': 'mdfh manual'}
    command = [lowdown, '-s', '-tman', '--out-no-smarty']
    for key, value in metadata.items():
        command += ['-M', f'{key}={value}']
    page = subprocess.run(command, input=escaped(pathlib.Path(source).read_text()), check=True,
                          capture_output=True, text=True).stdout
    for pattern, replacement in CHANGES:
        page = re.sub(pattern, replacement, page)
    # The columns of a table are narrow: a long name may go on in the next line.
    page = re.sub(r'(?ms)^\.TS\n.*?^\.TE$',
                  lambda table: re.sub(r'(?<=\w)(\\-|_)(?=\w)', r'\1\\:', table.group()), page)
    pathlib.Path(output).write_text(page)


main()
