#!/usr/bin/env python3
"""Soft-RoCE in the machine: the device, a connection with its data checked, and datagrams.

That the bed can carry the tests of the verbs module; nothing of mdfh's own runs here."""
import sys

from vm import SKIP, Failed, Missing, soft_roce


def pair(server, client):
    listens = "rdma resource show cm_id | grep -q LISTEN"
    return f"{server} & until {listens}; do sleep 0.1; done; {client}"


machine = soft_roce()
machine.programs += ["ibv_devinfo", "rping", "udaddy"]
try:
    device, rping, udaddy = machine.run([
        "ibv_devinfo -d rxe0 -v",
        # Ten messages there and back, the contents compared.
        pair("rping -s -a 10.0.0.1 -C 10 -V", "rping -c -a 10.0.0.1 -C 10 -V -v"),
        pair("udaddy -b 10.0.0.1", "udaddy -b 10.0.0.1 -s 10.0.0.1"),
    ])
    assert "transport:\t\t\tInfiniBand" in device.check(), device.out
    assert "state:\t\t\tPORT_ACTIVE" in device.out, device.out
    assert "link_layer:\t\tEthernet" in device.out, device.out
    assert rping.check().count("ping data: rdma-ping-") >= 10, rping.out
    assert "test complete\nreturn status 0" in udaddy.check(), udaddy.out
except Missing as why:
    print(why)
    sys.exit(SKIP)
except Failed as why:
    sys.exit(str(why))
print(rping.out, udaddy.out)
