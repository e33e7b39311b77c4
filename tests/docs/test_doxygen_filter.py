#!/usr/bin/env python3
"""What doxygen is given of the public headers, and of small ones made here."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ['MDFH_SOURCE'])
HEADER = '''/* mdfh/x.h - what it is for.
 *
 * Threads: any. */

/* A thing. */
struct mdfh_x {
	size_t size;
	uint64_t wait_ns;
	int a; /* first
	        * and more */
	int b; /* second */
};

/* Two calls. */
int mdfh_x_open(void);
int mdfh_x_close(void);

/* Helpers ------------------------------- */

static inline int mdfh_x_get(void)
{
	/* Inside. */
	return 1;
}
int mdfh_x_bare(void);
'''.replace('int mdfh', 'MDFH_API int mdfh')


def filtered(path):
    return subprocess.run([sys.executable, SOURCE / 'docs' / 'doxygen_filter.py', path], capture_output=True,
                          text=True, check=True).stdout


class Filter(unittest.TestCase):
    def test_lines_stay_where_they_are(self):
        paths = list((SOURCE / 'include' / 'mdfh').glob('*.h'))
        self.assertGreater(len(paths), 20)
        for path in paths:
            before = path.read_text().splitlines()
            after = filtered(path).splitlines()
            self.assertEqual(len(before), len(after), path)
            # Nothing but comments differs.
            for number, (old, new) in enumerate(zip(before, after), 1):
                code = old.split('/*')[0].strip()
                if code and not code.startswith('*') and '*/' not in code:
                    self.assertIn(code, new, f'{path}:{number}')

    def test_comments(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / 'x.h'
            path.write_text(HEADER)
            lines = filtered(path).splitlines()
        text = '\n'.join(lines)
        self.assertEqual(lines[0], '/** @file mdfh/x.h @brief what it is for.')
        self.assertIn('<br>Threads: any. */', text)
        self.assertIn('/** A thing. */', text)
        self.assertIn('size_t size; /**< Size of the structure', text)
        self.assertIn('wait_ns; /**< Wait, in ns. */', text)
        self.assertIn('int a; /**< first', text)
        self.assertIn('int b; /**< second */', text)
        self.assertIn('/** Two calls. */ MDFH_API int mdfh_x_close(void);', text)
        self.assertIn('/* Helpers ---', text)
        self.assertIn('\t/* Inside. */', text)
        # What has no text of its own gets none, so that doxygen complains.
        self.assertIn('\nMDFH_API int mdfh_x_bare(void);', text)


if __name__ == '__main__':
    unittest.main()
