#!/usr/bin/env bash
# Build mdfh: build.sh [FOLDER [MESON OPTION...]]   (default folder: build)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = "--help" ] || [ "${1:-}" = "-h" ]; then
	sed -n 's/^# //p' "scripts/${0##*/}"
	exit 0
fi
folder=${1:-build}
[ $# -eq 0 ] || shift
scripts/setup.sh build
if [ ! -f "$folder/build.ninja" ]; then
	# Where this Debian's linker looks. Meson asks dpkg-dev for it, which may not be there.
	multiarch=$(gcc -print-multiarch)
	[ -z "$multiarch" ] || set -- "-Dlibdir=lib/$multiarch" "$@"
	meson setup "$folder" "$@"
elif [ $# -gt 0 ]; then
	meson configure "$folder" "$@"
fi
ninja -C "$folder"
