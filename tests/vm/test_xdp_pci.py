#!/usr/bin/env python3
"""AF_XDP on PCI network devices, in the driver's own mode and in the kernel's generic one.

usage: test_xdp_pci.py MDFH

Three devices on a hub: virtio-net, whose driver runs XDP programs itself; an e1000e, whose driver does
not; and one that the exchange simulator sends from."""
import glob
import os
import sys

from feed import SENDER, agree, check, feed
from vm import SKIP, Failed, Machine, Missing

MDFH = os.path.abspath(sys.argv[1])
MODULE = os.path.join(os.environ["MDFH_BUILD"], "modules", "mdfh_xdp.so")
MACHINE = Machine(
    memory=768, cpus=2, append="hugepages=64", modules=["virtio_pci", "virtio_net", "e1000e"],
    programs=["ip", MDFH],
    files=[MODULE, "/usr/share/zoneinfo/America/New_York", *glob.glob("/usr/lib/*/bpf/*.o")],
    qemu=["-netdev", "hubport,id=a,hubid=0", "-device", "virtio-net-pci,netdev=a,mac=52:54:00:00:00:00",
          "-netdev", "hubport,id=b,hubid=0", "-device", "e1000e,netdev=b,mac=52:54:00:00:00:01",
          "-netdev", "hubport,id=c,hubid=0", "-device", "virtio-net-pci,netdev=c,mac=52:54:00:00:00:02"],
    setup=f"""
        mount -t bpf bpf /sys/fs/bpf
        for n in 0 1; do
            link=$(basename $(dirname $(grep -l 52:54:00:00:00:0$n /sys/class/net/*/address)))
            ip link set $link name receiver$n
            ip link set receiver$n up
            ip address add 10.0.1.$n/24 dev receiver$n
            until [ "$(cat /sys/class/net/receiver$n/carrier)" = 1 ]; do sleep 0.1; done
        done
        {SENDER}
        """)
CASES = {"receiver0": "native", "receiver1": "generic"}

try:
    opened = f"{MDFH} --modules {os.path.dirname(MODULE)} run --check --backend xdp" \
        " --group 239.1.1.1:26477 --interface "
    results = MACHINE.run([text for interface in CASES for text in (
        opened + interface, feed(MDFH, MODULE, "xdp", interface),
        f"ip link show {interface}")])
    for mode in CASES.values():
        check(f"the program is attached in {mode} mode, memory is in hugepages",
              f" {mode}, copy, queue 0, hugepages" in results[0].check(), results[0].out)
        agree(results[1], "xdp")
        check("no program is left behind", "xdp" not in results[2].check(), results[2].out)
        del results[:3]
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
