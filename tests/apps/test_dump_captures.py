#!/usr/bin/env python3
"""mdfh dump --wire against the expected decoding of real captures, field by field.

usage: test_dump_captures.py MDFH

Every capture and day file of the protocols that have a schema: packet headers, message
boundaries, and the offset, size and wire value of each field must be those of an independent
dissector. Needs MDFH_DATA and the comparing tool beside it; exits with 77 without them.
"""
import glob
import os
import subprocess
import sys
import tempfile

FOLDERS = ("itch50-moldudp64/*", "itch50-binaryfile/*", "iex-tops/*", "cme-mdp3/v[5-9]-*")
CAPTURES_MIN = 45  # fewer means that the data folder is not what this test was made for


def captures(data):
    """(capture, expected decoding)"""
    for folder in FOLDERS:
        for path in sorted(glob.glob(os.path.join(data, folder))):
            base, extension = os.path.splitext(path)
            if extension not in (".pcap", ".pcapng", ".itch"):
                continue
            for expected in (base + ".jsonl", base + ".jsonl.gz"):
                if os.path.exists(expected):
                    yield path, expected


def main(mdfh):
    data = os.environ.get("MDFH_DATA", "")
    compare = os.path.join(data, "..", "tools", "compare_dump.py")
    if not os.path.isdir(data) or not os.path.exists(compare):
        print(f"skipped: MDFH_DATA ('{data}') has no captures and no ../tools/compare_dump.py")
        return 77
    failed = done = 0
    for capture, expected in captures(data):
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as actual:
            dump = subprocess.run([mdfh, "dump", "--wire", capture], stdout=actual,
                                  stderr=subprocess.PIPE, text=True, check=False)
            compared = subprocess.run([sys.executable, compare, expected, actual.name],
                                      capture_output=True, text=True, check=False)
        done += 1
        verdict = (compared.stdout.strip().splitlines() or ["nothing compared"])[-1]
        if dump.returncode or compared.returncode or " 0 differences" not in verdict \
                or verdict.startswith("0 messages"):
            failed += 1
            print(f"FAILED {capture} (exit {dump.returncode})\n{compared.stdout}{dump.stderr}")
        else:
            print(f"ok {os.path.basename(capture)}: {verdict}")
    print(f"{done} captures, {failed} failed")
    return 1 if failed or done < CAPTURES_MIN else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
