#!/usr/bin/env bash
# Set up, build and run every test: test.sh [FOLDER [MESON OPTION...]]   (default folder: build)
#
# MDFH_SUITES="ring handler" limits it to suites. The last line is `N passed, N failed, N skipped`.
# A test that lacks a privilege or a file says so and counts as skipped. Run as root with
# MDFH_NO_SKIP=1 and the reference captures in ../shared/data, a skip is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = "--help" ] || [ "${1:-}" = "-h" ]; then
	sed -n '2,/^set /{/^# \{0,1\}/s///p}' "scripts/${0##*/}"
	exit 0
fi
folder=${1:-build}
scripts/setup.sh test
[ $# -eq 0 ] || shift
# enabled: a folder that was set up before the packages were there looks for them again.
scripts/build.sh "$folder" -Dtests=enabled "$@"

arguments=(--no-rebuild)
for suite in ${MDFH_SUITES:-}; do
	arguments+=(--suite "$suite")
done
rm -f "$folder/meson-logs/testlog.json" # the last run's must not be counted
meson test -C "$folder" "${arguments[@]}" || true

python3 - "$folder/meson-logs/testlog.json" "${MDFH_NO_SKIP:-0}" <<'PYTHON'
import json, os, sys

path = sys.argv[1]
no_skip = sys.argv[2] == "1" and os.geteuid() == 0 and os.path.isdir("../shared/data")
passed, failed, skipped = [], [], []
for line in open(path):
    test = json.loads(line)
    result = test["result"]
    text = (test.get("stdout") or "") + (test.get("stderr") or "")
    # A cmocka program in which one function of several was skipped ends with 0.
    partly = result == "OK" and "[  SKIPPED ]" in text
    if result == "SKIP" or partly:
        why = text.strip().splitlines()[-1:] or ["it did not say why"]
        print(f"skipped: {test['name']}: {'a part of it' if partly else why[0]}")
    if (result == "SKIP" or partly) and no_skip:
        print("that counts as failed here")
        failed.append(test["name"])
    elif result == "SKIP":
        skipped.append(test["name"])
    elif result in ("OK", "EXPECTEDFAIL"):
        passed.append(test["name"])
    else:
        failed.append(test["name"])
        print(f"--- {test['name']}: {result} after {test['duration']:.1f} s; its output ended with:")
        print("\n".join(text.splitlines()[-40:]))
for name in failed:
    print(f"failed: {name}")
print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
sys.exit(1 if failed or not passed else 0)
PYTHON
