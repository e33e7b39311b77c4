"""What the benchmarks of this folder say of the machine that they ran on."""
import os
import platform


def describe():
    model = "?"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
            if line.startswith("flags") and " hypervisor " in line:
                model += ", virtual"
                break
    load = os.getloadavg()[0]
    return (f"machine: {model}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, "
            f"load {load:.1f} before the run")


