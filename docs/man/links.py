#!/usr/bin/env python3
"""The names under which pages are found beside their own: links.py NAME.SECTION.md...

One line a name of a NAME section that is not the page's own: `OTHER.SECTION NAME.SECTION`."""
import pathlib
import re
import sys

for path in map(pathlib.Path, sys.argv[1:]):
    page = path.name.removesuffix('.md')
    name, section = page.rsplit('.', 1)
    line = re.search(r'# NAME\n\n(.+?)\s+-\s', path.read_text(), re.S).group(1)
    for other in re.split(r',\s+', line):
        if other != name:
            print(f'{other}.{section} {page}')
