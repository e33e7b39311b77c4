#!/usr/bin/env python3
"""The generator names the file, the line and what is wrong; equal schemas give equal output.

usage: test_generate.py GENERATE.py SCHEMA
"""
import os
import subprocess
import sys
import tempfile
import unittest

GENERATE, SCHEMA = sys.argv[1:3]
HEAD = "schema x id=1 order=big\ntitle \"X\"\nheader\n\ttype char role=type\n"


def generate(schema, folder):
    names = [os.path.join(folder, "x" + e) for e in (".h", ".c", ".seeds")]
    result = subprocess.run([sys.executable, GENERATE, schema, *names], capture_output=True,
                            text=True, check=False)
    return result, names


class Generate(unittest.TestCase):
    def test_mistakes(self):
        for body, line, words in (
                ("message A a \"A\"\n\tx u33\n", 6, "no type is called 'u33'"),
                ("message A a \"A\"\n\tx u8\n\tx u8\n", 7, "field x is there already"),
                ("message A a \"A\"\n\tx u8 enum=none\n", 6, "no enum is called 'none'"),
                ("message A a \"A\"\n\tx u8 colour=red\n", 6, "no attribute is called 'colour'"),
                ("message A a \"A\"\n\tx u32\n\ty u8 at=1\n", 7, "overlaps"),
                ("message A a \"A\" block=2\n\tx u32\n", 6, "past the block"),
                ("message A a \"A\"\nmessage A b \"B\"\n", 6, "two messages of type A"),
                ("enum e char\n\tAB two\n", 6, "is not one character"),
                ("massage A a \"A\"\n", 5, "no statement is called 'massage'"),
                ("\t\tx u8\n", 5, "indented"),
                ("", 4, "no messages")):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "x.schema")
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write(HEAD + body)
                result, _ = generate(path, folder)
            self.assertEqual(result.returncode, 1, body)
            self.assertIn(f"x.schema:{line}: ", result.stderr, body)
            self.assertIn(words, result.stderr, body)

    def test_deterministic(self):
        outputs = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                result, names = generate(SCHEMA, folder)
                self.assertEqual(result.returncode, 0, result.stderr)
                content = []
                for name in names:
                    with open(name, "rb") as stream:
                        content.append(stream.read())
                outputs.append(content)
        self.assertEqual(outputs[0], outputs[1])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
