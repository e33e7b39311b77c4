#!/usr/bin/env python3
"""DPDK's poll-mode drivers on PCI devices, with no kernel on the packets' path.

usage: test_dpdk.py MDFH CASE

CASE is the driver that the device is bound to and its model: vfio-pci (behind the machine's IOMMU)
or uio_pci_generic (without one), e1000e or virtio-net-pci. A second device on the same hub is the
kernel's: the exchange simulator sends from there. That leads to books is checked as for any other
backend; that DPDK itself works on this device is seen from its own dpdk-testpmd first."""
import glob
import json
import os
import re
import sys

from vm import SKIP, Failed, Missing, Machine

MDFH = os.path.abspath(sys.argv[1])
DRIVER, MODEL = sys.argv[2].split("+")
MODULE = os.path.join(os.environ["MDFH_BUILD"], "modules", "mdfh_dpdk.so")
DEVICE = "0000:00:05.0"
GROUPS = "--group 239.1.1.1:26477 --group{} 239.1.1.2:26478"
MESSAGES = 20000  # at a rate that an emulated machine sends and receives; B comes when it comes

POLL_MODE_DRIVERS = [path for name in ("bus_pci", "mempool_ring", "net_e1000", "net_virtio")
                     for path in glob.glob(f"/usr/lib/*/dpdk/pmds-*/librte_{name}.so.*")]
MACHINE = Machine(
    memory=1024, cpus=2, seconds=180, append="hugepages=160 intel_iommu=on",
    modules=["vfio_iommu_type1 allow_unsafe_interrupts=1", "vfio-pci", "uio_pci_generic",
             "e1000e", "virtio_pci", "virtio_net"],
    programs=["ip", "dpdk-testpmd", MDFH], files=[*POLL_MODE_DRIVERS, MODULE, "/usr/share/zoneinfo/America/New_York"],
    qemu=[*(["-device", "intel-iommu"] if DRIVER == "vfio-pci" else []),
          "-netdev", "hubport,id=a,hubid=0", "-device", f"{MODEL},netdev=a,addr=5",
          "-netdev", "hubport,id=b,hubid=0",
          "-device", "e1000e,netdev=b,addr=6,mac=52:54:00:00:00:02"],
    setup=f"""
        cd /sys/bus/pci/devices/{DEVICE}
        echo {DRIVER} >driver_override
        echo {DEVICE} >driver/unbind
        echo {DEVICE} >/sys/bus/pci/drivers_probe
        test "$(basename $(readlink driver))" = {DRIVER}
        sender=$(basename $(dirname $(grep -l 52:54:00:00:00:02 /sys/class/net/*/address)))
        ip link set $sender name sender
        ip link set sender up
        ip address add 10.0.0.2/24 dev sender
        ip route add 239.0.0.0/8 dev sender
        until [ "$(cat /sys/class/net/sender/carrier)" = 1 ]; do sleep 0.1; done
        # The device is out of the kernel's hands.
        test ! -e /sys/bus/pci/devices/{DEVICE}/net
        test "$(ls /sys/class/net)" = "$(printf 'lo\\nsender')"
        """)


def check(what, ok, detail=""):
    print(f"{'ok' if ok else 'FAILED'}: {what}")
    if not ok:
        raise Failed(str(detail))


def until(condition, shown):
    """Shell text: wait for at most a minute or so, then show a file and fail."""
    return (f"n=0; until {condition}; do n=$((n + 1)); [ $n -lt 600 ] || {{ cat {shown}; exit 1; }};"
            " sleep 0.1; done")


TESTPMD = f"""
received() {{
    sed -n 's/.*RX-packets: *\\([0-9]*\\).*/\\1/p' /tmp/testpmd | tail -n 1
}}
dpdk-testpmd -l 0,1 -a {DEVICE} --file-prefix pmd -- --forward-mode=rxonly --total-num-mbufs=4096 \
    --stats-period 1 >/tmp/testpmd 2>&1 &
{until("grep -q 'Port statistics' /tmp/testpmd", "/tmp/testpmd")}
{MDFH} sim --transmit --interface sender --rate 1000 --messages 100 --flush-us 1 --linger 0.1 --json || exit
{until('[ "$(received)" -ge 100 ]', "/tmp/testpmd")}
kill -INT $!
wait $!
cat /tmp/testpmd
"""

FEED = f"""
{MDFH} --modules {os.path.dirname(MODULE)} run --backend dpdk --interface {DEVICE} \
    {GROUPS.format('')} --json --status --seconds 120 --books-out /tmp/handler.tsv \
    --window 2000000 --orders-max 100000 --levels-max 50000 >/tmp/handler 2>/tmp/status &
{until("[ -s /tmp/status ]", "/tmp/handler")}
{MDFH} sim --transmit --interface sender {GROUPS.format('-b')} --rate 5000 --messages {MESSAGES} \
    --symbols 200 --drop-a 20000ppm --burst 3 --ahead 16 --linger 1 --json \
    --books-out /tmp/exchange.tsv >/tmp/exchange || exit
wait $!
status=$?
cat /tmp/exchange
echo ---
cat /tmp/handler
echo ---
{MDFH} compare /tmp/exchange.tsv /tmp/handler.tsv
cat /tmp/status >&2
exit $status
"""

try:
    testpmd, feed = MACHINE.run([TESTPMD, FEED])
    check("dpdk-testpmd received the packets", re.search(r"Probe PCI driver: net_", testpmd.check()),
          testpmd.out)
    exchange, handler, books = feed.check().split("---\n")
    exchange, handler = json.loads(exchange), json.loads(handler)
    check("every message arrived",
          handler["messages"] == exchange["messages"] and handler["lost"] == 0,
          json.dumps([exchange, handler], indent=1))
    channel = handler["channels"][0]
    check("line A had holes that line B filled",
          channel["lines"][0]["missing"] > 0 and channel["lines"][1]["delivered"] > 0, channel)
    check("the books agree", "simulator and handler agree: " in books and
          books.strip().endswith(" symbols, 0 differences"), books)
    print(json.dumps(channel["lines"], indent=1))
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
