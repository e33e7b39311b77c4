#!/usr/bin/env bash
# Checks of the source: check.sh format|tidy|doxygen|shell
#   format   every C file is as clang-format would write it
#   tidy     clang-tidy on every hand-written C file, with the compile commands of build-clang
#   doxygen  every public declaration has its text; the pages are in build-doxygen/html
#   shell    shellcheck on every script
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
format)
	git ls-files '*.c' '*.h' '*.cc' | xargs clang-format --dry-run -Werror
	;;
tidy)
	[ -f build-clang/build.ninja ] || CC=clang scripts/build.sh build-clang
	# Generated files are not ours to read; fuzzers and BPF programs are built elsewhere.
	git ls-files 'src/*.c' 'modules/*.c' 'bench/*.c' 'examples/*.c' ':!*.bpf.c' |
		xargs -P "$(nproc)" -n 4 clang-tidy -p build-clang --quiet 2>&1 |
		{ grep -v -E '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' || true; } |
		tee build-clang/tidy.log
	[ ! -s build-clang/tidy.log ]
	;;
shell)
	git ls-files 'scripts/*.sh' '*.bash' .ci/run | xargs shellcheck --severity=warning
	;;
doxygen)
	mkdir -p build-doxygen
	{ cat docs/Doxyfile && echo OUTPUT_DIRECTORY=build-doxygen; } | doxygen -
	;;
*)
	sed -n '2,6s/^# //p' "scripts/${0##*/}"
	exit 2
	;;
esac
