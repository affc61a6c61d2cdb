"""The peak memory of a process."""

import re
from pathlib import Path


def peak_mib() -> float:
    """Return this process's peak resident memory; `ru_maxrss` would begin with what its parent held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    if not found:
        raise RuntimeError("the kernel does not tell VmHWM")
    return int(found[1]) / 1024
