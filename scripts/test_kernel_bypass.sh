#!/usr/bin/env bash
# The library from end to end on this machine, with a line for each check and a summary:
#
#   test_kernel_bypass.sh [--quick] [--backend NAME]... [--build FOLDER]
#
#   unit            build/tests/test_kernel_bypass, group by group
#   functional      build/simple_bypass_test with each backend
#   performance     rates that must hold without loss, over TCP, UDP and multicast
#   error-handling  what is wrong is said, and losses end with 1
#   integration     backends against their suite, two processes, the exchange and the feed handler, examples
#
#   --quick    shorter runs and one rate: under half a minute instead of under two
#   --backend  only this one; may be repeated (default: socket, and io_uring if it was built)
#   --build    the folder that scripts/build.sh built, seen from the project's (default: build)
#
# Runs in a network namespace of its own. Exit status: 0 all passed, 1 something failed, 2 could not run,
# 77 no right to make a namespace.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

quick=0
build=build
backends=()

die() {
	echo "test_kernel_bypass.sh: $*" >&2
	exit 2
}

arguments=("$@")
while [ $# -gt 0 ]; do
	case "$1" in
	--quick) quick=1 ;;
	--backend | --build)
		[ $# -ge 2 ] || die "$1 needs a value"
		if [ "$1" = --build ]; then build=$2; else backends+=("$2"); fi
		shift
		;;
	-h | --help)
		sed -n '2,/^set /{/^# \{0,1\}/s///p}' "scripts/${0##*/}"
		exit 0
		;;
	*) die "unknown option '$1'; --help lists them" ;;
	esac
	shift
done

build=$(realpath "$build")
simple=$build/simple_bypass_test
simulation=$build/kernel_bypass_simulation_test
unit=$build/tests/test_kernel_bypass
mdfh=$build/src/apps/mdfh
for program in "$simple" "$simulation" "$mdfh"; do
	[ -x "$program" ] || die "$program is not there; run scripts/build.sh first"
done

if [ -z "${MDFH_BYPASS_INSIDE:-}" ]; then
	how=(unshare --net)
	[ "$(id -u)" -eq 0 ] || how=(unshare --user --map-root-user --net)
	"${how[@]}" true 2>/dev/null || {
		echo "skipped: no right to a network namespace (${how[*]})"
		exit 77
	}
	exec env MDFH_BYPASS_INSIDE=1 "${how[@]}" -- "scripts/${0##*/}" ${arguments[@]+"${arguments[@]}"}
fi
if ! ip link set lo up multicast on || ! ip route add 239.0.0.0/8 dev lo; then
	die "lo cannot be set up"
fi

folder=$(mktemp -d)
children=()
cleanup() {
	[ ${#children[@]} -eq 0 ] || kill "${children[@]}" 2>/dev/null
	rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Results ------------------------------------------------------------------------------

section=
started=0
declare -A passed=() failed=() skipped=() seconds_of=()
failures=()
sections=(unit functional performance error-handling integration)
for name in "${sections[@]}"; do
	passed[$name]=0 failed[$name]=0 skipped[$name]=0
done

finish() {
	[ -z "$section" ] || seconds_of[$section]=$((SECONDS - started))
}

begin() {
	finish
	section=$1
	started=$SECONDS
	echo "== $section"
}

pass() {
	passed[$section]=$((passed[$section] + 1))
	echo "PASS  $*"
}

fail() {
	failed[$section]=$((failed[$section] + 1))
	failures+=("$section: $*")
	echo "FAIL  $*"
}

skip() {
	skipped[$section]=$((skipped[$section] + 1))
	echo "SKIP  $*"
}

# A line of another program that begins with its verdict.
take_line() {
	case "$1" in
	PASS*) pass "${1#PASS  }" ;;
	FAIL*) fail "${1#FAIL  }" ;;
	SKIP*) skip "${1#SKIP  }" ;;
	esac
}

if [ ${#backends[@]} -eq 0 ]; then
	backends=(socket)
	[ ! -e "$build/modules/mdfh_io_uring.so" ] || backends+=(io_uring)
fi
mdfh_command=("$mdfh")
[ ! -d "$build/modules" ] || mdfh_command+=(--modules "$build/modules")

# Unit -----------------------------------------------------------------------------------

begin unit
if [ -x "$unit" ]; then
	"$unit" >"$folder/unit" 2>&1
	status=$?
	group=
	while IFS= read -r line; do
		case "$line" in
		"--- "*) group=${line#--- } bad=0 ;;
		*"FAILED  ] "*[a-z]*) [ -z "$group" ] || bad=1 ;;
		*"[  PASSED  ]"*)
			if [ "$bad" -eq 0 ]; then pass "$group: $(tr -dc 0-9 <<<"$line") tests"; else fail "$group"; fi
			group=
			;;
		esac
	done <"$folder/unit"
	# A program that was killed has said nothing of its last group.
	if [ "$status" -ne 0 ] && { [ -n "$group" ] || [ "${failed[unit]}" -eq 0 ]; }; then
		fail "${group:-test_kernel_bypass}: ended with $status"
	fi
	[ "${failed[unit]}" -eq 0 ] || tail -n 30 "$folder/unit"
else
	skip "test_kernel_bypass: built without -Dtests=enabled"
fi

# Functional ---------------------------------------------------------------------------------

begin functional
messages=20000
[ "$quick" -eq 0 ] || messages=5000
for backend in "${backends[@]}"; do
	echo "   simple_bypass_test --backend $backend"
	"$simple" --backend "$backend" --messages "$messages" >"$folder/simple" 2>&1
	status=$?
	while IFS= read -r line; do
		take_line "$line"
	done <"$folder/simple"
	[ "$status" -le 1 ] || fail "simple_bypass_test --backend $backend: ended with $status: $(grep -m 1 "^simple_bypass_test:" "$folder/simple")"
done

# Performance -----------------------------------------------------------------------------------

# One line of what a summary says, from its JSON on standard input.
figures() {
	python3 -c '
import json, sys
report = json.load(sys.stdin)
sent, received = report["sent"], report["received"]
total = received["latency_ns"].get("total", {})
def us(name):
    return f"{total.get(name, 0) / 1000:.1f}"
drops = sum(count or 0 for count in received["dropped_packets"].values())
print("{:,} of {:,} came at {:,.0f}/s, {:,} sent late; latency p50 {}, p99 {}, p99.9 {}, max {} us; {} dropped, cpu {:.0f} + {:.0f} + {:.0f} %".format(
    received["messages"], sent["scheduled"], received["messages_per_second"], sent["late_messages"],
    us("p50"), us("p99"), us("p99_9"), us("max"), drops,
    sent["cpu_percent"], received["receiver_cpu_percent"], received["consumer_cpu_percent"]))'
}

# Streams are not for every backend; one that has none says so, and that is shown once.
no_tcp() {
	"$simulation" --backend "$1" --transport tcp --port 0 --max-messages 1 --quiet \
		>/dev/null 2>"$folder/error"
	[ $? -eq 2 ] && grep -q 'transport is TCP' "$folder/error"
}

begin performance
rates=(5000 50000 200000)
seconds=3
if [ "$quick" -eq 1 ]; then
	rates=(200000)
	seconds=0.3
fi
for backend in "${backends[@]}"; do
	transports=(tcp udp multicast)
	if no_tcp "$backend"; then
		skip "$backend tcp: $(sed 's/^kernel_bypass_simulation_test: //' "$folder/error")"
		transports=(udp multicast)
	fi
	for transport in "${transports[@]}"; do
		for rate in "${rates[@]}"; do
			name="$backend $transport $rate/s"
			"$simulation" --backend "$backend" --transport "$transport" --rate "$rate" \
				--duration "$seconds" --json --quiet >"$folder/json" 2>"$folder/error"
			status=$?
			if [ "$status" -eq 2 ]; then
				fail "$name: $(tail -n 1 "$folder/error")"
			elif [ "$status" -eq 0 ]; then
				pass "$name: $(figures <"$folder/json")"
			else
				fail "$name: $(figures <"$folder/json")"
			fi
		done
	done
done

# Error handling -----------------------------------------------------------------------------------

# expect STATUS TEXT NAME OPTION...: the simulation ends so, and its output has the text.
expect() {
	local want=$1 text=$2 name=$3 status
	shift 3
	timeout 30 "$simulation" --quiet "$@" >"$folder/out" 2>&1
	status=$?
	if [ "$status" -ne "$want" ]; then
		fail "$name: ended with $status instead of $want: $(tail -n 1 "$folder/out")"
	elif ! grep -qF -- "$text" "$folder/out"; then
		fail "$name: nothing said of '$text': $(tail -n 1 "$folder/out")"
	else
		pass "$name: $(grep -F -m 1 -- "$text" "$folder/out" | cut -c 1-140)"
	fi
}

begin error-handling
expect 2 "rate is 'fast'" "a rate that is none" --rate fast
expect 2 "'sctp'" "a transport that does not exist" --transport sctp
expect 2 "nonesuch" "a backend that does not exist" --backend nonesuch
expect 2 "rx_ring_size" "a ring that is no power of two" --transport udp --rx-ring-size 1000
expect 2 "nonesuch0" "an interface that does not exist" --transport multicast --interface nonesuch0
expect 2 "Connection refused" "a server that is not there" --client-only --port 9011 --wait 1
expect 2 "start the client" "a client that is not there" --server-only --port 9011 --wait 1
"$simulation" --server-only --port 9012 --wait 60 2>"$folder/server" >/dev/null &
children=($!)
for ((i = 0; i < 1200; i++)); do
	grep -q serving "$folder/server" && break
	sleep 0.05
done
expect 2 "in use" "a port that is taken" --server-only --port 9012
kill -INT "${children[0]}"
wait "${children[0]}" 2>/dev/null
children=()
for backend in "${backends[@]}"; do
	# Faults lie above the backend: in a hurry, one is enough.
	[ "$quick" -eq 0 ] || [ "$backend" = "${backends[0]}" ] || continue
	expect 1 "--inject-loss-ppm" "$backend: injected loss" --backend "$backend" --transport udp \
		--rate 20000 --duration 0.5 --inject-loss-ppm 50000
	expect 1 "messages damaged" "$backend: injected damage" --backend "$backend" --transport udp --rate 20000 \
		--duration 0.5 --inject-damage-ppm 50000
	expect 0 "nothing was lost" "$backend: doubled and reordered packets" --backend "$backend" \
		--transport udp --rate 20000 --duration 0.5 --inject-duplicate-ppm 50000 \
		--inject-reorder-ppm 50000
done
expect 1 "full socket buffer" "a buffer that is too small" --transport udp --rate 100000 --duration 0.5 \
	--batch-size 5000 --receive-buffer 4096

# Integration -------------------------------------------------------------------------------------

# Client and server as processes of their own.
two_processes() {
	local backend=$1 transport=$2 port=$3 name client server
	name="$backend $transport: client and server as two processes"
	"$simulation" --client-only --backend "$backend" --transport "$transport" --port "$port" \
		--wait 60 >"$folder/client" 2>&1 &
	children=($!)
	for ((i = 0; i < 1200; i++)); do
		grep -q waiting "$folder/client" && break
		sleep 0.05
	done
	"$simulation" --server-only --transport "$transport" --port "$port" --start-delay 0 --wait 60 --rate 20000 \
		--duration 0.5 --quiet >"$folder/server" 2>&1
	server=$?
	wait "${children[0]}"
	client=$?
	children=()
	if [ "$client" -eq 0 ] && [ "$server" -eq 0 ]; then
		pass "$name: $(tail -n 1 "$folder/client")"
	else
		fail "$name: ended with $client and $server: $(tail -n 1 "$folder/client")"
	fi
}

# The exchange on two lines into the feed handler, and their books compared.
exchange_to_books() {
	local backend=$1 name="$1: two lines from the exchange to books" status=0 length=1
	[ "$quick" -eq 0 ] || length=0.3
	"${mdfh_command[@]}" run --protocol itch50 --backend "$backend" --interface lo \
		--group 239.1.1.1:26477 --group 239.1.1.2:26478 --seconds 40 \
		--books-out "$folder/handler.tsv" >"$folder/run" 2>&1 &
	children=($!)
	"${mdfh_command[@]}" sim --group 239.1.1.1:26477 --group-b 239.1.1.2:26478 --rate 50000 \
		--seconds "$length" --symbols 250 --wait-for-listener 60 --linger 0.3 --drop-a 1000ppm \
		--books-out "$folder/exchange.tsv" >"$folder/sim" 2>&1 || status=1
	wait "${children[0]}" || status=1
	children=()
	if [ "$status" -eq 0 ] &&
		"${mdfh_command[@]}" compare "$folder/exchange.tsv" "$folder/handler.tsv" >"$folder/out" 2>&1; then
		pass "$name: $(tail -n 1 "$folder/out")"
	else
		fail "$name: $(grep -h -m 2 -E 'lost|error|mdfh|differ' "$folder/sim" "$folder/run" "$folder/out" | tr '\n' ' ')"
	fi
}

# An example that receives from the exchange until a signal or the end of the day.
example() {
	local name=$1 text=$2
	shift 2
	if [ ! -x "$build/examples/example_$name" ]; then
		skip "example $name: not built"
		return
	fi
	"$build/examples/example_$name" "$@" >"$folder/out" 2>&1 &
	children=($!)
	"${mdfh_command[@]}" sim --rate 50000 --messages 20000 --symbols 200 --wait-for-listener 60 \
		--linger 0.3 >"$folder/sim" 2>&1
	[ "$name" = advanced ] || kill -INT "${children[0]}"
	if wait "${children[0]}" && grep -q -- "$text" "$folder/out"; then
		pass "example $name: $(tail -n 1 "$folder/out")"
	else
		fail "example $name: $(tail -n 1 "$folder/out")"
	fi
	children=()
}

begin integration
port=9021
for backend in "${backends[@]}"; do
	transports=(tcp udp multicast)
	media=(tcp4 udp4 multicast4)
	if no_tcp "$backend"; then
		transports=(udp multicast)
		media=(udp4 multicast4)
	fi
	for medium in "${media[@]}"; do
		if "${mdfh_command[@]}" conformance --interface lo --medium "$medium" "$backend" \
			>"$folder/out" 2>&1; then
			pass "mdfh conformance: $(tail -n 1 "$folder/out")"
		else
			fail "mdfh conformance: $(tail -n 1 "$folder/out")"
		fi
	done
	[ "$quick" -eq 0 ] || [ "$backend" = "${backends[0]}" ] || transports=(udp)
	for transport in "${transports[@]}"; do
		two_processes "$backend" "$transport" $((port++))
	done
	exchange_to_books "$backend"
done
example basic ' 0 dropped$' lo 239.1.1.1 26477
example advanced ' 0 messages lost$' lo "$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')" 239.1.1.1:26477

# Summary --------------------------------------------------------------------------------------------

finish
echo "== summary ($SECONDS s, backends: ${backends[*]})"
total_passed=0 total_failed=0 total_skipped=0
for name in "${sections[@]}"; do
	printf '%-15s %3d passed  %3d failed  %3d skipped  %3d s\n' "$name" "${passed[$name]}" \
		"${failed[$name]}" "${skipped[$name]}" "${seconds_of[$name]}"
	total_passed=$((total_passed + passed[$name]))
	total_failed=$((total_failed + failed[$name]))
	total_skipped=$((total_skipped + skipped[$name]))
done
for text in ${failures[@]+"${failures[@]}"}; do
	echo "FAILED  $text"
done
echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ "$total_failed" -eq 0 ]
