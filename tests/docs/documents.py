"""Documents and the blocks in them: what the tests of documents read."""
import re
from dataclasses import dataclass, field


@dataclass
class Block:
    document: str
    line: int  # of the fence
    language: str
    attributes: dict = field(default_factory=dict)
    text: str = ''

    def __str__(self):
        return f'{self.document}:{self.line}'


def documents(source):
    """Every document for people: path relative to the source, text."""
    paths = sorted(source.glob('*.md')) + sorted((source / 'docs').rglob('*.md'))
    return {str(path.relative_to(source)): path.read_text() for path in paths}


def blocks(name, text):
    """The fenced blocks of a document. A fence is ```LANGUAGE ATTRIBUTE[=VALUE]..."""
    found = []
    block = None
    indent = 0
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r'( *)```(.*)$', line)
        if fence and block is None:
            words = fence.group(2).split()
            block = Block(name, number, words[0] if words else '')
            for word in words[1:]:
                key, _, value = word.partition('=')
                block.attributes[key] = value
            indent = len(fence.group(1))
        elif fence:
            found.append(block)
            block = None
        elif block is not None:
            block.text += line[min(indent, len(line) - len(line.lstrip())):] + '\n'
    if block is not None:
        raise ValueError(f'{block}: the fence is not closed')
    return found


def prose(text):
    """The lines outside of fences, with their numbers."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r' *```', line):
            inside = not inside
        elif not inside:
            yield number, line


def yaml_name(block):
    """The file that a YAML block is, by its first line: `# feed.yaml`."""
    match = re.match(r'# ([\w.-]+\.yaml)\n', block.text)
    return match.group(1) if match else None


def dedented(text):
    """Lines without their common indentation, tabs as the compiler sees them: white space."""
    lines = [line.expandtabs(8).rstrip() for line in text.strip('\n').splitlines()]
    return [re.sub(r'\s+', ' ', line.strip()) for line in lines]


def contains(whole, part):
    """Whether the lines of part stand together in whole, whatever their indentation."""
    whole, part = dedented(whole), dedented(part)
    return any(whole[i:i + len(part)] == part for i in range(len(whole) - len(part) + 1))


def programs(source):
    """The files that are run, as C or Python, and that documents may show lines of."""
    folders = (source / 'examples', source / 'tests')
    return {str(path): path.read_text() for folder in folders for path in sorted(folder.rglob('*'))
            if path.suffix in ('.c', '.py')}
