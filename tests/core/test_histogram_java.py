#!/usr/bin/env python3
"""Logs of histograms read by HdrHistogram itself (Debian's libhdrhistogram-java):
test_histogram_java.py WRITER

Counts and percentiles are equal to the last digit. The format knows no value better than its bucket, so
a value that mdfh knows exactly (least, largest, what lies at a bucket's edge) is compared as its bucket's
bound, worked out here from the format's description: below 2048 a bucket each, above 1024 to a power of
two."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

WRITER = sys.argv[1]
JAR = pathlib.Path('/usr/share/java/hdrhistogram.jar')
PERCENTILES = ['0', '1', '25', '50', '75', '90', '99', '99.9', '99.99', '99.999', '100']
START_MS = 1795575600250


def bucket(value):
    width = 1
    while value // width >= 2048:
        width *= 2
    low = value // width * width
    return low, low + width - 1


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=100)
    if done.returncode:
        raise AssertionError(f'{command}: {done.stderr}')
    return done.stdout


class Java(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        source = pathlib.Path(__file__).with_name('HistogramRead.java')
        run('javac', '-cp', JAR, '-d', cls.folder.name, source)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def read(self, log):
        lines = run('java', '-cp', f'{JAR}:{self.folder.name}', 'HistogramRead', log, *PERCENTILES)
        return [line.split() for line in lines.splitlines()]

    def test_equal(self):
        for seed in (1, 2, 3):
            log = pathlib.Path(self.folder.name) / f'{seed}.hlog'
            written = [line.split() for line in run(WRITER, log, seed).splitlines()]
            read = self.read(log)
            self.assertEqual(len(written), 11)
            self.assertEqual([line[0] for line in read], [line[0] for line in written])
            for i, (theirs, ours) in enumerate(zip(read, written)):
                tag, count = ours[0], int(ours[1])
                least, largest, *percentiles = map(int, ours[2:])
                with self.subTest(seed=seed, tag=tag):
                    # The reader's times are doubles of seconds, cut off to milliseconds.
                    self.assertAlmostEqual(int(theirs[1]), START_MS + i * 1000, delta=1)
                    self.assertAlmostEqual(int(theirs[2]) - int(theirs[1]), 750, delta=1)
                    got = [int(word) for word in theirs[3:]]
                    self.assertEqual(got[0], count)
                    if not count:
                        self.assertEqual(got[2:], [0] * (1 + len(PERCENTILES)))
                        continue
                    self.assertEqual(got[1], bucket(least)[0])
                    self.assertEqual(got[2], bucket(largest)[1])
                    self.assertEqual(got[3], bucket(percentiles[0])[0])
                    self.assertEqual(got[4:], [bucket(value)[1] for value in percentiles[1:]])

    def test_head(self):
        log = pathlib.Path(self.folder.name) / 'head.hlog'
        run(WRITER, log, 1)
        lines = log.read_text().splitlines()
        self.assertEqual(lines[0], '#[Histogram log format version 1.3]')
        self.assertEqual(lines[1],
                         '#[StartTime: 1795575600.250 (seconds since epoch), Wed Nov 25 03:00:00 UTC 2026]')
        self.assertEqual(lines[3], '"StartTimestamp","Interval_Length","Interval_Max",'
                                   '"Interval_Compressed_Histogram"')
        self.assertTrue(lines[4].startswith('Tag=empty,0.000,0.750,0.000,HISTFAAAA'), lines[4])
        self.assertTrue(lines[7].startswith('Tag=single,3.000,0.750,0.123,HISTFAAAA'), lines[7])


if __name__ == '__main__':
    if not JAR.exists() or not shutil.which('javac'):
        print('libhdrhistogram-java or a JDK is not installed')
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
