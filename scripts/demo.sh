#!/usr/bin/env bash
# The main job, end to end, on this machine: a simulated exchange publishes Nasdaq ITCH 5.0 in
# MoldUDP64 on two multicast lines; the feed handler receives both, keeps every book and feeds a
# consumer; at the end their books are compared, order by order.
#
#   demo.sh [--rate MSGS_PER_S] [--seconds S] [--backend NAME] [--seed N]
#
# Everything runs in a network namespace of its own, on loopback, and ends by itself. With --backend
# dpdk the exchange sends and the handler receives through DPDK's net_memif, which is memory that both
# share, in hugepages where some are free. With --backend xdp they are on the two ends of a veth pair
# between two namespaces; that needs root. The last line says whether the books agree; the exit status
# is 0 only if they do and nothing was lost.
set -euo pipefail
cd "$(dirname "$0")/.."

rate=100000
seconds=10
backend=socket
seed=1

usage() {
	sed -n '2,/^set /{/^# \{0,1\}/s///p}' "scripts/${0##*/}"
}

while [ $# -gt 0 ]; do
	case "$1" in
	--rate | --seconds | --backend | --seed)
		[ $# -ge 2 ] || { echo "demo.sh: $1 needs a value" >&2; exit 2; }
		declare "${1#--}=$2"
		shift 2
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "demo.sh: unknown option '$1'; --help lists them" >&2
		exit 2
		;;
	esac
done
for name in rate seconds seed; do
	[[ ${!name} =~ ^[0-9]+$ ]] || { echo "demo.sh: --$name is '${!name}'; it must be a whole number" >&2; exit 2; }
done

if [ -z "${MDFH_DEMO_INSIDE:-}" ]; then
	scripts/build.sh build >&2
	# A namespace without any way out: what is sent in it cannot leave it.
	export MDFH_DEMO_INSIDE=1
	again=("scripts/${0##*/}" --rate "$rate" --seconds "$seconds" --backend "$backend" --seed "$seed")
	if [ "$(id -u)" -eq 0 ]; then
		exec unshare --net -- "${again[@]}"
	fi
	[ "$backend" != xdp ] || { echo "demo.sh: --backend xdp needs root" >&2; exit 2; }
	exec unshare --user --map-root-user --net -- "${again[@]}"
fi

ip link set lo up multicast on
ip route add 239.0.0.0/8 dev lo

mdfh="build/src/apps/mdfh --modules build/modules"
folder=$(mktemp -d)
handler=
exchange= # the process that keeps the exchange's namespace
cleanup() {
	[ -z "$exchange" ] || kill "$exchange" 2>/dev/null || true
	[ -z "$handler" ] || kill "$handler" 2>/dev/null || true
	rm -rf "$folder"
}
trap cleanup EXIT

line_a=239.1.1.1:26477
line_b=239.1.1.2:26478

# How the exchange sends and how the handler receives.
there=()
sends=(--interface lo --wait-for-listener 30)
receives=(--backend "$backend" --interface lo)
if [ "$backend" = dpdk ]; then
	memif="socket=$folder/memif.sock,socket-abstract=no,rsize=14"
	sends=(--backend dpdk --interface "net_memif0,role=server,$memif" --wait-for-listener 30 --start-delay 1)
	receives=(--backend dpdk --interface "net_memif0,role=client,$memif")
elif [ "$backend" = xdp ]; then
	unshare --net sleep $((seconds + 120)) &
	exchange=$!
	until [ "$(readlink /proc/$exchange/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	ip link add mdfh0 type veth peer name mdfh1 netns "$exchange"
	ip link set mdfh0 up multicast on
	there=(nsenter "--net=/proc/$exchange/ns/net")
	"${there[@]}" ip address add 10.77.0.1/24 dev mdfh1
	"${there[@]}" ip link set mdfh1 up multicast on
	"${there[@]}" ip route add 239.0.0.0/8 dev mdfh1
	sends=(--interface mdfh1 --transmit --start-delay 1)
	receives=(--backend xdp --interface mdfh0)
fi

$mdfh run --protocol itch50 "${receives[@]}" --group $line_a --group $line_b \
	--seconds $((seconds + 30)) --books-out "$folder/handler.tsv" --status \
	>"$folder/summary" &
handler=$!

if [ "$backend" = xdp ]; then # the program is on the device just before the handler is ready
	until ip link show mdfh0 | grep -q xdp || ! kill -0 "$handler" 2>/dev/null; do sleep 0.05; done
fi
"${there[@]}" $mdfh sim "${sends[@]}" --group $line_a --group-b $line_b --rate "$rate" --seconds "$seconds" \
	--seed "$seed" --linger 1 --books-out "$folder/exchange.tsv" \
	>"$folder/sim"

status=0
wait "$handler" || status=$?
handler=
cat "$folder/sim"
echo
cat "$folder/summary"
[ "$status" -lt 2 ] || exit "$status"
$mdfh compare "$folder/exchange.tsv" "$folder/handler.tsv" || status=1
exit "$status"
