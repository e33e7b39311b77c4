#!/usr/bin/env python3
"""Placement on two NUMA nodes, each with a core, hugepages and a network device of its own.

usage: test_numa.py NUMA_PLACEMENT TEST_PROGRAM...

TEST_PROGRAMs are those that also run where there is one node."""
import glob
import os
import sys

from vm import SKIP, Failed, Missing, Machine

placement, *others = map(os.path.abspath, sys.argv[1:])
modules = os.path.join(os.environ["MDFH_BUILD"], "modules")
machine = Machine(
    memory=768, cpus=2, nodes=2, append="hugepages=64", seconds=240, modules=["e1000e"],
    programs=[placement, *others], files=[*glob.glob(f"{modules}/mdfh_*.so"), *glob.glob("/usr/lib/*/bpf/*.o")],
    # A PCI host bridge on either node, with a network device behind each.
    qemu=[word for node in range(2) for word in (
        "-device", f"pxb-pcie,id=bridge{node},bus=pcie.0,bus_nr={64 + 64 * node},numa_node={node}",
        "-device", f"pcie-root-port,id=root{node},bus=bridge{node},chassis={node + 1}",
        "-netdev", f"hubport,id=net{node},hubid=0",
        "-device", f"e1000e,bus=root{node},netdev=net{node},mac=52:54:00:00:00:0{node}")],
    setup="""
        mount -t bpf bpf /sys/fs/bpf
        for node in 0 1; do
            test "$(cat /sys/devices/system/node/node$node/cpulist)" = $node
            test "$(cat /sys/devices/system/node/node$node/hugepages/hugepages-2048kB/nr_hugepages)" = 32
            nic=$(basename $(dirname $(grep -l 52:54:00:00:00:0$node /sys/class/net/*/address)))
            ip link set $nic name node$node
            ip link set node$node up
            ip address add 10.0.$node.1/24 dev node$node
        done
        """)
try:
    commands = [f"{placement} {modules} node{node} {node}" for node in range(2)]
    for result in machine.run([*commands, *others]):
        print(f"--- {result.command}\n{result.check()}{result.err}")
        if "[  SKIPPED ]" in result.out + result.err:
            sys.exit("something was skipped in a machine that is made for it")
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
