#!/usr/bin/env bash
# Build the Debian packages from a copy of the tree, install, use and purge them: check_package.sh
#
# They are built as a user without privileges in a network namespace without a way out, with the
# tests that debian/rules names; lintian must have nothing to say. They are installed over this
# machine's files in a mount namespace, so the machine itself stays as it is, whatever happens and
# whatever it has installed. There, programs outside the tree are built against them, the command
# finds its modules and manual pages are found; a purge must leave nothing.
#
# Needs root. DEB_BUILD_OPTIONS=nocheck leaves out the tests. MDFH_KEEP=FOLDER keeps the packages.
# The last line is `N passed, N failed, N skipped`.
set -euo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0

# check WHAT COMMAND...
check() {
	local what=$1 log
	shift
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
		echo "ok: $what"
	else
		failed=$((failed + 1))
		echo "FAILED: $what"
		tail -n 60 "$log"
	fi
	rm -f "$log"
}

finish() {
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" -eq 0 ]
}

# Before installing ------------------------------------------------------

copy_tree() {
	mkdir "$1"
	{ git ls-files -z --cached --others --exclude-standard 2>/dev/null || find . -type f -print0; } |
		tar -c --null --files-from=- --ignore-failed-read 2>/dev/null | tar -x -C "$1"
}

versions_agree() {
	local version
	version=$(sed -n "s/^  version : '\(.*\)',$/\1/p" meson.build)
	[ "$(dpkg-parsechangelog -S Version)" = "$version" ] ||
		{ echo "debian/changelog is not of $version, the version in meson.build"; return 1; }
	[ "$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)" = "$version" ] ||
		{ echo "CHANGELOG.md does not begin with $version, the version in meson.build"; return 1; }
}

# unprivileged FOLDER COMMAND...: as nobody, with loopback and no other network.
unprivileged() {
	local folder=$1
	shift
	# shellcheck disable=SC2016
	unshare --net -- sh -c 'ip link set lo up && cd "$1" && shift && exec setpriv --reuid nobody --regid nogroup \
		--clear-groups -- env -i HOME=/nonexistent LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		DEB_BUILD_OPTIONS="$DEB_BUILD_OPTIONS" "$@"' sh "$folder" "$@"
}

build_packages() {
	unprivileged "$1" dpkg-buildpackage -us -uc -b
}

lint() {
	lintian --allow-root --profile debian --display-info --pedantic --fail-on error,warning,info,pedantic "$1"
}

# Inside, with the packages installed ------------------------------------

nothing_left() { # nothing of mdfh where packages put their files
	local leftover
	leftover=$(find /usr /etc /var -xdev \( -path /usr/local -o -path /var/lib/dpkg -o -path /var/tmp \) -prune -o \
		-iname '*mdfh*' -print) || true
	[ -z "$leftover" ] || { echo "$leftover"; return 1; }
}

has_pages() {
	local page
	for page in "1 mdfh" "1 mdfh-run" "5 mdfh.yaml" "3 mdfh" "3 mdfh_bypass_open"; do
		# shellcheck disable=SC2086
		[ -s "$(man -w $page)" ] || { echo "no manual page $page"; return 1; }
	done
}

inside() {
	local version names
	cd "$1"
	# Whatever is installed of an older version goes first: this is not the machine's own tree.
	names=$(dpkg-query -W -f '${Package} ${Status}\n' '*mdfh*' 2>/dev/null |
		awk '$4 == "installed" { print $1 }') || true # there is none
	# shellcheck disable=SC2086
	[ -z "$names" ] || dpkg --purge $names >/dev/null
	check "nothing of mdfh was there before" nothing_left
	check "dpkg --install" dpkg --install ./*.deb
	version=$(dpkg-deb -f mdfh_*.deb Version)
	# shellcheck disable=SC2016
	check "mdfh --version is $version" sh -c '[ "$(mdfh --version)" = "mdfh $1" ]' sh "$version"
	check "manual pages" has_pages
	check "mdfh backends finds io_uring" sh -c 'mdfh backends | grep -E "^io_uring +available"'
	check "mdfh backends finds dpdk" sh -c 'mdfh backends | grep -E "^dpdk +available"'
	check "mdfh backends finds xdp" sh -c 'mdfh backends | grep -E "^xdp +available"'
	check "programs outside the tree, the command, its modules" \
		python3 mdfh/tests/install/test_outside.py installed mdfh /usr "lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)"
	names=$(for deb in *.deb; do dpkg-deb -f "$deb" Package; done)
	# shellcheck disable=SC2086
	check "dpkg --purge" dpkg --purge $names
	check "the purge leaves nothing" nothing_left
	finish
}

case "${1:-}" in
--inside)
	inside "$2"
	exit
	;;
"") ;;
*)
	sed -n '2,/^set /{/^# \{0,1\}/s///p}' "scripts/${0##*/}"
	[ "$1" = "--help" ] || [ "$1" = "-h" ] || exit 2
	exit 0
	;;
esac

if [ "$(id -u)" -ne 0 ]; then
	echo "skipped: packages are installed by root"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi
scripts/setup.sh package

work=$(mktemp -d)
# The mounts below $work/root end with their namespace.
trap 'rm -rf "$work"' EXIT
export DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS:-}
copy_tree "$work/mdfh"
chmod 755 "$work"
chown -R nobody:nogroup "$work"
check "one version everywhere" versions_agree
check "dpkg-buildpackage without privileges and network" build_packages "$work/mdfh"
[ "$failed" -eq 0 ] || finish || exit 1
check "lintian has nothing to say" lint "$work"/mdfh_*.changes
(cd "$work" && printf '  %s\n' *.deb)
[ -z "${MDFH_KEEP:-}" ] || cp "$work"/*.deb "$work"/*.changes "$MDFH_KEEP"

# A root file system whose changes are in memory and end with this command.
mkdir "$work/layer" "$work/root"
inside_log=$work/inside.log
# shellcheck disable=SC2016
unshare --mount --pid --fork -- sh -c '
	set -e
	mount -t tmpfs tmpfs "$1/layer"
	mkdir "$1/layer/upper" "$1/layer/work"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$1/layer/upper,workdir=$1/layer/work" "$1/root"
	mount --rbind /dev "$1/root/dev"
	mount -t proc proc "$1/root/proc"
	mount --rbind /sys "$1/root/sys" # where DPDK finds the processors
	mount --bind "$1" "$1/root$1"
	exec chroot "$1/root" "$1/mdfh/scripts/check_package.sh" --inside "$1"
' sh "$work" >"$inside_log" 2>&1 || true # the count says it
if counts=$(tail -n 1 "$inside_log" | grep -E '^[0-9]+ passed, [0-9]+ failed, 0 skipped$' | tr -dc '0-9 '); then
	sed '$d' "$inside_log"
	read -r inside_passed inside_failed _ <<<"$counts"
	passed=$((passed + inside_passed))
	failed=$((failed + inside_failed))
else
	cat "$inside_log"
	failed=$((failed + 1))
fi
finish
