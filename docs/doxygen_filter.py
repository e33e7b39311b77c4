#!/usr/bin/env python3
"""What doxygen reads instead of a header: doxygen_filter.py HEADER

The headers' comments are plain /* */, for people who read the headers. This makes doxygen's of them, line
for line so that its messages name the right lines: of the comment at the top of a file, before a
declaration, before or after a member. A comment is meant for all declarations up to the next blank line.
A member without a comment is what its name says: its words are its text. Nothing is added where a
function, structure, enumeration, type or macro has none: doxygen then complains."""
import pathlib
import re
import sys

MEMBER = re.compile(r'^[^/]*?\b(\w+)(\[[^\]]*\]|\s*:\s*\d+|\s*=\s*[^,/]+)?\s*[;,]\s*$')
POINTER = re.compile(r'\(\*(\w+)\)')
# Every structure has them; they mean the same everywhere.
COMMON = {
    'size': 'Size of the structure, set with sizeof by who fills it in.',
    'reserved': 'Not used.',
    'pad': 'Not used.',
}


UNITS = {'ns': 'in ns', 'us': 'in us', 'bytes': 'in bytes', 'ppm': 'per million'}


def words(name):
    parts = re.sub(r'^MDFH_', '', name).lower().split('_')
    unit = f', {UNITS[parts.pop()]}' if len(parts) > 1 and parts[-1] in UNITS else ''
    return f'{" ".join(parts).strip().capitalize()}{unit}.'


class Filter:
    def __init__(self, path, lines):
        self.path = path
        self.lines = lines
        self.out = []
        self.scopes = []     # 'type' inside a structure, union or enumeration, 'code' in other braces
        self.shared = None   # the comment that the next declarations share, as one line, and its depth
        self.fresh = False   # that comment stands before the next declaration itself

    def comment(self, start):
        """The end of the comment that begins on a line, and its text as one line."""
        end = start
        while '*/' not in self.lines[end]:
            end += 1
        text = '\n'.join(self.lines[start:end + 1])
        text = text[text.index('/*') + 2:text.rindex('*/')]
        parts = [re.sub(r'^\s*\*\s?', '', line).strip() for line in text.split('\n')]
        return end, ' '.join(part for part in parts if part)

    def emit(self, first, last, opening):
        block = self.lines[first:last + 1]
        block[0] = block[0].replace('/*', opening, 1)
        body = [block[0]]
        for line in block[1:]:
            stripped = re.sub(r'^\s*\*(?!/)', '', line)
            if re.match(r'^\s{0,2}[A-Z][a-z]+( [a-z]+)?: ', stripped):
                line = line.replace(stripped.strip(), '<br>' + stripped.strip(), 1)
            body.append(line)
        self.out += body

    def run(self):
        i = 0
        while i < len(self.lines):
            line = self.lines[i]
            stripped = line.strip()
            inside = self.scopes[-1] if self.scopes else 'file'
            if stripped.startswith('/*'):
                last, text = self.comment(i)
                is_divider = '-----' in text
                if i == 0:
                    self.lines[0] = re.sub(r'/\* (\S+) - ', r'/* @file \1 @brief ', line, count=1)
                    self.emit(0, last, '/**')
                elif inside == 'code' or is_divider:
                    self.out += self.lines[i:last + 1]
                else:
                    self.emit(i, last, '/**')
                    self.shared = (text, len(self.scopes))
                    self.fresh = True
                i = last + 1
                continue
            if not stripped:
                self.shared = None
            i = self.code(i, line, stripped, inside)
        return '\n'.join(self.out) + '\n'

    def code(self, i, line, stripped, inside):
        """A line that is not a comment of its own; returns the next line's number."""
        opener = re.match(r'^(\s*(?:typedef )?(?:struct|enum|union)\b[^/]*\{)\s*/\*(.*)\*/$', line)
        if opener:
            line = f'/**{opener.group(2)}*/ {opener.group(1)}'
            self.braces(opener.group(1))
            self.out.append(line)
            return i + 1
        code = re.sub(r'/\*.*', '', line)
        starts = (inside == 'file' and re.match(r'^(MDFH_API|static inline|struct|enum|typedef|#define)\b', line)
                  and not re.match(r'^struct \w+;$', stripped))
        documented = False
        # The declaration right after the comment has it; those that follow get a copy.
        if starts or (inside == 'type' and self.is_member(code)):
            if self.shared and self.shared[1] == len(self.scopes):
                if self.fresh:
                    documented = True
                elif '/*' not in line:
                    line = f'/** {self.shared[0]} */ {line}'
                    documented = True
                self.fresh = False
        if '/*' in stripped and inside != 'code':
            last, _ = self.comment(i)
            self.emit(i, last, '/**<')
            self.braces(code)
            return last + 1
        if inside == 'type' and not documented and '/*' not in line and self.is_member(code):
            name = (POINTER.search(code) or MEMBER.match(code) or re.match(r'\s*(\w+)', code)).group(1)
            text = COMMON.get(name, words(name))
            line = f'{line} /**< {text} */'
        self.braces(code)
        self.out.append(line)
        return i + 1

    @staticmethod
    def is_member(code):
        code = code.rstrip()
        return bool(code.strip()) and (code.endswith(';') or code.endswith(',')) and not code.strip().startswith('}')

    def braces(self, code):
        for match in re.finditer(r'[{}]', code):
            if match.group() == '}':
                if self.scopes:
                    self.scopes.pop()
            elif re.match(r'^\s*(typedef )?(struct|union|enum)\b', code) or code.strip() in ('union {', 'struct {'):
                self.scopes.append('type')
            else:
                self.scopes.append('code')


def main():
    path = pathlib.Path(sys.argv[1])
    lines = path.read_text().splitlines()
    sys.stdout.write(Filter(f'mdfh/{path.name.removesuffix(".in")}', lines).run())


main()
