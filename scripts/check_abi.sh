#!/usr/bin/env bash
# Compare the ABI of a build with the recorded one: check_abi.sh [--update] [FOLDER]
#   (default folder: build; it must have been built, with debug information)
#
# abi/libmdfh.abi has the functions of libmdfh.so and the types that these reach, abi/types.abi every
# struct and enum of the public headers, what modules and inline functions use included. Both are
# of the last release; before the first one, of the version in development. What was added passes;
# what was removed or changed fails, with the report, and so does a struct that has grown: one that
# begins with its size may, once the code takes the older size as well. --update records the ABI of
# FOLDER instead: part of a release, or of an intended change (CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "$0")/.."

update=
folder=build
for argument in "$@"; do
	case "$argument" in
	--update) update=1 ;;
	-h | --help)
		sed -n '2,/^set /{/^# \{0,1\}/s///p}' "scripts/${0##*/}"
		exit 0
		;;
	-*)
		echo "check_abi.sh: unknown option '$argument'; --help lists them" >&2
		exit 2
		;;
	*) folder=$argument ;;
	esac
done
scripts/setup.sh package

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# dump FILE.so OUT: only what public headers declare, and no paths, so that equal ABIs make equal
# dumps on any machine.
dump() {
	[ -f "$1" ] || { echo "check_abi.sh: there is no $1; build $folder first" >&2; exit 2; }
	abidw --headers-dir include/mdfh --drop-private-types --exported-interfaces-only \
		--drop-undefined-syms --no-show-locs --no-comp-dir-path --no-corpus-path --no-elf-needed \
		--no-architecture --type-id-style hash --out-file "$2" "$1"
	grep -q "<class-decl name='mdfh_event' size-in-bits" "$2" ||
		{ echo "check_abi.sh: $1 has no debug information; the build type must be debugoptimized" >&2; exit 2; }
}

# compare OLD NEW: 0 if what OLD has is in NEW unchanged.
compare() {
	abidiff --no-added-syms "$1" "$2"
}

# check WHAT 0|1 COMMAND...: the command must succeed (0) or fail (1).
check() {
	local what=$1 want=$2 status=0
	shift 2
	"$@" >"$work/report" 2>&1 || status=1
	if [ "$status" -eq "$want" ]; then
		passed=$((passed + 1))
		echo "ok: $what"
	else
		failed=$((failed + 1))
		echo "FAILED: $what"
		cat "$work/report"
	fi
}

# A library with a function for each type, so that the debug information has it.
types() {
	local header
	for header in include/mdfh/*.h; do
		echo "#include <mdfh/${header##*/}>"
	done
	sed -nE 's/^((struct|enum) mdfh_[a-z0-9_]+) \{.*/\1/p' include/mdfh/*.h |
		awk '{ print "void type_of_" $2 "(const " $1 " " $2 " *p);"
			print "void type_of_" $2 "(const " $1 " " $2 " *p) { (void)p; }" }'
}
types >"$work/types.c"
cc -g -shared -fPIC -ffile-prefix-map="$work"=. -I include -I "$folder/include" -o "$work/types.so" "$work/types.c"

dump "$folder/libmdfh.so" "$work/libmdfh.abi"
dump "$work/types.so" "$work/types.abi"

if [ -n "$update" ]; then
	cp "$work/libmdfh.abi" "$work/types.abi" abi/
	git --no-pager diff --stat -- abi
	exit 0
fi

check "functions and what they reach: as recorded, or more" 0 compare abi/libmdfh.abi "$work/libmdfh.abi"
check "types of the public headers: as recorded, or more" 0 compare abi/types.abi "$work/types.abi"
[ "$failed" -eq 0 ] || echo "If the change is intended (CONTRIBUTING.md): scripts/check_abi.sh --update $folder"

# That the comparison can fail, and for what: against altered copies of this build's own ABI.
alter() {
	sed "$2" "$work/$1.abi" >"$work/altered.abi"
	if cmp -s "$work/$1.abi" "$work/altered.abi"; then
		echo "check_abi.sh: nothing altered by $2" >&2
		exit 1
	fi
}
alter libmdfh "s/mdfh_ring_used/mdfh_ring_gone/g"
check "control: a function that is gone is noticed" 1 compare "$work/altered.abi" "$work/libmdfh.abi"
alter libmdfh "/elf-symbol name='mdfh_ring_used'/d; /<function-decl name='mdfh_ring_used'/,/<\/function-decl>/d"
check "control: a function that was added passes" 0 compare "$work/altered.abi" "$work/libmdfh.abi"
alter libmdfh "/<class-decl name='mdfh_packet' /,/<\/class-decl>/s/layout-offset-in-bits='128'/layout-offset-in-bits='160'/"
check "control: a field that moved is noticed" 1 compare "$work/altered.abi" "$work/libmdfh.abi"
alter types "s/MDFH_EVENT_GAP' value='[0-9]*'/MDFH_EVENT_GAP' value='99'/"
check "control: a constant of another value is noticed" 1 compare "$work/altered.abi" "$work/types.abi"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
