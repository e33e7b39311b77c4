"""The simulator's two lines from one network device of a machine to mdfh on another, and the books."""
import json
import os

from vm import Failed

GROUPS = "--group 239.1.1.1:26477 --group{} 239.1.1.2:26478"
MESSAGES = 20000  # at a rate that an emulated machine sends and receives; B comes when it comes

# Shell text: the device with that address becomes "sender" and is ready to send.
SENDER = """
        ip link set $(basename $(dirname $(grep -l 52:54:00:00:00:02 /sys/class/net/*/address))) name sender
        ip link set sender up
        ip address add 10.0.0.2/24 dev sender
        ip route add 239.0.0.0/8 dev sender
        until [ "$(cat /sys/class/net/sender/carrier)" = 1 ]; do sleep 0.1; done
"""


def check(what, ok, detail=""):
    print(f"{'ok' if ok else 'FAILED'}: {what}")
    if not ok:
        raise Failed(str(detail))


def until(condition, shown):
    """Shell text: wait for at most a minute or so, then show a file and fail."""
    return (f"n=0; until {condition}; do n=$((n + 1)); [ $n -lt 600 ] || {{ cat {shown}; exit 1; }};"
            " sleep 0.1; done")


def feed(mdfh, module, backend, interface, send="--interface sender"):
    """Shell text: the whole way, with losses on line A. For agree."""
    return f"""
rm -f /tmp/status /tmp/handler /tmp/handler.tsv /tmp/exchange /tmp/exchange.tsv
{mdfh} --modules {os.path.dirname(module)} run --backend {backend} --interface {interface} \
    {GROUPS.format('')} --json --status --seconds 120 --books-out /tmp/handler.tsv \
    --window 2000000 --orders-max 100000 --levels-max 50000 >/tmp/handler 2>/tmp/status &
{until("[ -s /tmp/status ]", "/tmp/handler")}
{mdfh} --modules {os.path.dirname(module)} sim --transmit {send} {GROUPS.format('-b')} --rate 5000 --messages {MESSAGES} \
    --symbols 200 --drop-a 20000ppm --burst 3 --ahead 16 --linger 1 --json \
    --books-out /tmp/exchange.tsv >/tmp/exchange || exit
wait $!
status=$?
cat /tmp/exchange
echo ---
cat /tmp/handler
echo ---
{mdfh} compare /tmp/exchange.tsv /tmp/handler.tsv
cat /tmp/status >&2
exit $status
"""


def agree(result, backend):
    """Nothing was lost on the way, and the books are the exchange's."""
    exchange, handler, books = result.check().split("---\n")
    exchange, handler = json.loads(exchange), json.loads(handler)
    channel = handler["channels"][0]
    check(f"the lines came through {backend}",
          [line["backend"] for line in channel["lines"]] == [backend, backend], channel)
    check("every message arrived",
          handler["messages"] == exchange["messages"] and handler["lost"] == 0,
          json.dumps([exchange, handler], indent=1))
    check("line A had holes that line B filled",
          channel["lines"][0]["missing"] > 0 and channel["lines"][1]["delivered"] > 0, channel)
    check("the books agree", "simulator and handler agree: " in books and
          books.strip().endswith(" symbols, 0 differences"), books)
