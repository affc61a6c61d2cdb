"""What a process has taken of the machine, as Linux counts it."""

import os
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory in MiB, the processor in seconds since the process began."""

    resident: float
    peak: float
    cpu_seconds: float


def read_usage(pid: int) -> Usage:
    """Return what a process takes now and at its peak (VmRSS, VmHWM), and the processor time it has had."""
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    resident, peak = (int(status[name].split()[0]) / _MIB for name in ("VmRSS", "VmHWM"))
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return Usage(resident=resident, peak=peak, cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"))
