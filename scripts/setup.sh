#!/usr/bin/env bash
# Install the Debian packages that are missing: setup.sh build|test|package
#   build    what the library, the mdfh command and the demonstration need
#   test     that, and what the tests, checks and benchmarks need
#   package  that, and what packages and the check of the ABI need
# As root or where sudo asks for no password it installs; otherwise it prints the line to run.
set -euo pipefail

build_packages=(gcc libc6-dev meson ninja-build pkg-config python3 tzdata iproute2 util-linux
	libpcap-dev libcyaml-dev libyaml-dev libnuma-dev libzstd-dev zlib1g-dev libjansson-dev liburing-dev libdpdk-dev
	libxdp-dev libbpf-dev clang bpftool libibverbs-dev librdmacm-dev)
test_packages=(libcmocka-dev libseccomp-dev libck-dev clang-tidy clang-format
	lowdown mandoc groff-base doxygen bash bash-completion zsh ethtool shellcheck
	libhdrhistogram-java default-jdk-headless libclang-rt-14-dev g++ libsystemd-dev tshark valgrind procps strace git
	xdp-tools qemu-system-x86 linux-image-amd64 busybox-static dpdk dpdk-dev rdmacm-utils ibverbs-utils ibverbs-providers)
package_packages=(abigail-tools debhelper dpkg-dev lintian man-db)

case "${1:-build}" in
build) wanted=("${build_packages[@]}") ;;
test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
package) wanted=("${build_packages[@]}" "${test_packages[@]}" "${package_packages[@]}") ;;
*)
	echo "usage: setup.sh build|test|package" >&2
	exit 2
	;;
esac

missing=()
for package in "${wanted[@]}"; do
	status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
	[ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

install=(apt-get install -y -qq --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -eq 0 ]; then
	sudo=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	sudo=(sudo)
else
	echo "These packages are missing. Run this line, then start again:" >&2
	echo "  sudo apt-get update && sudo ${install[*]}" >&2
	exit 1
fi
echo "installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${sudo[@]}" apt-get update -qq &&
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}"; } >"$log" 2>&1; then
	cat "$log" >&2
	exit 1
fi
