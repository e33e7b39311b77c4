#!/usr/bin/env python3
"""Backend verbs over soft-RoCE: its tests, and the simulator's two lines as datagrams to equal books.

usage: test_verbs.py TEST_VERBS_ROCE MDFH"""
import os
import sys

from feed import agree, check, feed
from vm import SKIP, Failed, Missing, soft_roce

TEST, MDFH = (os.path.abspath(path) for path in sys.argv[1:3])
BUILD = os.environ["MDFH_BUILD"]
MODULE = os.path.join(BUILD, "modules", "mdfh_verbs.so")


def as_user(locked):
    """Shell text: what a user without any privilege gets, with a limit of locked memory."""
    return (f"ulimit -l {locked}; setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all {MDFH}"
            f" --modules {os.path.dirname(MODULE)} run --check --backend verbs --interface eth0"
            " --group 239.1.1.1:26477 2>&1")


# Jumbo frames: datagrams of up to 4096 bytes.
machine = soft_roce(memory=1024, cpus=2, seconds=240)
machine.programs += [TEST, MDFH, "setpriv"]
machine.files += [MODULE, "/usr/share/zoneinfo/America/New_York"]
machine.setup += """
            ip link set eth0 mtu 4500
            ip address add 10.0.0.9/24 dev eth0
            ip address add fd77::1/64 dev eth0 nodad
            ip address add fd77::9/64 dev eth0 nodad
            until [ $(cat /sys/class/infiniband/rxe0/ports/1/gids/* | grep -c -v ^0000:.*:0000$) -ge 5 ]; do
                sleep 0.1
            done
"""
try:
    test, lines, user, limited = machine.run([
        f"MDFH_BUILD={BUILD} {TEST}",
        feed(MDFH, MODULE, "verbs", "eth0", send="--backend verbs --interface eth0"),
        as_user("unlimited"), as_user(64),
    ])
    print(test.check(), test.err)
    agree(lines, "verbs")
    check("a user needs no privilege", "datagram, rxe0 port 1" in user.check(), user.out)
    check("a user needs a limit of locked memory", limited.code and "ulimit -l" in limited.out, limited.out)
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
