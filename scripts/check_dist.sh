#!/usr/bin/env bash
# Make the source archive of the last commit, and build and test what is in it: check_dist.sh [FOLDER]
#   (default folder: build; the archive is left in FOLDER/meson-dist)
#
# The archive has every file of the commit. It is built in a folder of its own, without git, and
# the suites of MDFH_SUITES (default: those that take seconds) are run there.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = "--help" ] || [ "${1:-}" = "-h" ]; then
	sed -n '2,/^set /{/^# \{0,1\}/s///p}' "scripts/${0##*/}"
	exit 0
fi
folder=${1:-build}
export MDFH_SUITES=${MDFH_SUITES:-core ring wire session proto book install}
[ -f "$folder/build.ninja" ] || scripts/build.sh "$folder"

meson dist -C "$folder" --no-tests --formats xztar --allow-dirty >/dev/null
name=mdfh-$(sed -n "s/^  version : '\(.*\)',$/\1/p" meson.build)
archive=$folder/meson-dist/$name.tar.xz
(cd "$folder/meson-dist" && sha256sum --quiet -c "$name.tar.xz.sha256sum")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xf "$archive" -C "$work"
cd "$work/$name"
if ! diff <(git -C "$OLDPWD" ls-tree -r --name-only HEAD | LC_ALL=C sort) \
	<(find . -type f -o -type l | sed 's,^\./,,' | LC_ALL=C sort); then
	echo "FAILED: $archive and the commit have different files (< commit, > archive)"
	exit 1
fi
echo "$archive: $(find . -type f | wc -l) files"
# The reference captures, where they are, for the tests that read them.
[ ! -d "$OLDPWD/../shared" ] || ln -s "$(realpath "$OLDPWD/../shared")" "$work/shared"
scripts/test.sh build
