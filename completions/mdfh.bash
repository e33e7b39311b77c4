# bash completion for mdfh and its test tools                              -*- shell-script -*-
#
# Commands and options are asked of the program itself, by --help, so that they are those of the one
# that is installed. Only what a value may be stands here.

# The options that `PROGRAM [COMMAND] --help` lists.
_mdfh_options()
{
	"$@" --help 2>/dev/null | sed -nE 's/^ +(-[^ ].*)$/\1/p' | sed -E 's/  .*//' |
		grep -oE -- '(^|[ ,])--?[A-Za-z?][-A-Za-z0-9]*' | tr -d ' ,'
}

_mdfh_commands()
{
	"$1" --help 2>/dev/null | sed -nE 's/^  ([a-z]+) .*/\1/p'
}

_mdfh_backends()
{
	"${1:-mdfh}" backends 2>/dev/null | sed -nE 's/^([a-z_0-9]+) +available .*/\1/p'
}

_mdfh_protocols()
{
	"$1" dump --help 2>/dev/null | sed -n '/^Protocols:/,/^$/s/^  \([a-z0-9-]*\) .*/\1/p'
}

_mdfh_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# A value of option $prev; 1 if it is no option whose values are known.
_mdfh_value()
{
	local program=$1 command=$2

	case $prev in
	--backend | -b) _mdfh_words "$(_mdfh_backends "$program") $([ -n "$command" ] || echo asio)" ;;
	--interface | -i) _mdfh_words "$(ls /sys/class/net 2>/dev/null)" ;;
	--protocol | -p)
		[ -n "$command" ] || return 0 # a port number, of the tools
		_mdfh_words "$(_mdfh_protocols "$program")"
		;;
	--core | --worker-core | --cpu | --cpu-core | --server-cpu) _mdfh_words "$(seq 0 $(($(nproc) - 1)))" ;;
	--idle) _mdfh_words "spin wait" ;;
	--shard) _mdfh_words "channel instrument" ;;
	--trailer) _mdfh_words "metamako exablaze arista7280 none" ;;
	--clock) _mdfh_words "live day" ;;
	--medium | -m) _mdfh_words "udp4 udp6 multicast4 multicast6 tcp4 tcp6 file none frames4 frames6" ;;
	--transport | -t) _mdfh_words "tcp udp multicast" ;;
	--session) [ "$command" = run ] && _mdfh_words "moldudp64 soupbintcp" ;;
	--file) _filedir '@(pcap|pcapng)?(.gz|.zst)' ;;
	--out | -o)
		[ "$command" = conformance ] || _filedir '@(itch|pcap|pcapng)'
		;;
	--latency-log) _filedir hlog ;;
	--books-out) _filedir tsv ;;
	--password-file) _filedir ;;
	--scenario | -S) _filedir '@(yaml|yml)' ;;
	--modules) _filedir -d ;;
	-s | -l | -r | -g) [ -n "$command" ] || return 1 ;; # a value that is the user's own
	*)
		# Whether it takes one is in --help: `--group=ADDRESS:PORT`.
		[[ $prev == --* ]] && "$program" ${command:+"$command"} --help 2>/dev/null |
			grep -qE -- "(^|[ ,])$prev=" && return 0
		return 1
		;;
	esac
	return 0
}

_mdfh()
{
	local cur prev words cword split i command=

	_init_completion -s || return
	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		--modules) ((i++)) ;;
		-*) ;;
		*)
			command=${words[i]}
			break
			;;
		esac
	done
	if [ -z "$command" ]; then
		[ "$prev" = --modules ] && _filedir -d && return
		if [[ $cur == -* ]]; then
			_mdfh_words "--help --version $(_mdfh_options "$1")"
		else
			_mdfh_words "$(_mdfh_commands "$1")"
		fi
		return
	fi
	_mdfh_value "$1" "$command" && return
	$split && return
	if [[ $cur == -* ]]; then
		_mdfh_words "$(_mdfh_options "$1" "$command")"
		return
	fi
	case $command in
	run) _filedir '@(yaml|yml)' ;;
	dump | book) _filedir '@(itch|pcap|pcapng)?(.gz|.zst)' ;;
	replay) _filedir '@(pcap|pcapng)?(.gz|.zst)' ;;
	compare) _filedir tsv ;;
	conformance)
		_filedir so
		mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$(_mdfh_backends "$1")" -- "$cur")
		;;
	bench)
		if [ "$prev" = bench ]; then
			_mdfh_words "decode book pipeline cores"
		else
			_filedir itch
		fi
		;;
	esac
}

_mdfh_tool()
{
	local cur prev words cword split

	_init_completion -s || return
	case $prev in
	--backend | -b)
		_mdfh_words "$(_mdfh_backends) asio"
		return
		;;
	esac
	_mdfh_value "$1" "" && return
	$split && return
	_mdfh_words "$(_mdfh_options "$1")"
}

complete -F _mdfh mdfh
complete -F _mdfh_tool simple_bypass_test kernel_bypass_simulation_test
