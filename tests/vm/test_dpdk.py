#!/usr/bin/env python3
"""DPDK's poll-mode drivers on PCI devices, with no kernel on the packets' path.

usage: test_dpdk.py MDFH CASE

CASE is the driver that the device is bound to and its model: vfio-pci (behind the machine's IOMMU)
or uio_pci_generic (without one), e1000e or virtio-net-pci. A second device on the same hub is the
kernel's: the exchange simulator sends from there. That DPDK itself works on the device is seen from its
own dpdk-testpmd first."""
import glob
import os
import re
import sys

from feed import SENDER, agree, check, feed, until
from vm import SKIP, Failed, Machine, Missing

MDFH = os.path.abspath(sys.argv[1])
DRIVER, MODEL = sys.argv[2].split("+")
MODULE = os.path.join(os.environ["MDFH_BUILD"], "modules", "mdfh_dpdk.so")
DEVICE = "0000:00:05.0"

POLL_MODE_DRIVERS = [path for name in ("bus_pci", "mempool_ring", "net_e1000", "net_virtio")
                     for path in glob.glob(f"/usr/lib/*/dpdk/pmds-*/librte_{name}.so.*")]
MACHINE = Machine(
    memory=1024, cpus=2, seconds=180, append="hugepages=160 intel_iommu=on",
    modules=["vfio_iommu_type1 allow_unsafe_interrupts=1", "vfio-pci", "uio_pci_generic",
             "e1000e", "virtio_pci", "virtio_net"],
    programs=["ip", "dpdk-testpmd", MDFH],
    files=[MODULE, "/usr/share/zoneinfo/America/New_York", *POLL_MODE_DRIVERS],
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
        {SENDER}
        # The device is out of the kernel's hands.
        test ! -e /sys/bus/pci/devices/{DEVICE}/net
        test "$(ls /sys/class/net)" = "$(printf 'lo\\nsender')"
        """)

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

try:
    testpmd, fed = MACHINE.run([TESTPMD, feed(MDFH, MODULE, "dpdk", DEVICE)])
    check("dpdk-testpmd received the packets", re.search(r"Probe PCI driver: net_", testpmd.check()),
          testpmd.out)
    agree(fed, "dpdk")
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
