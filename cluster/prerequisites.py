"""What the machine must offer, and the Debian packages that are added to it."""

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cluster import debian
from cluster.commands import output_of, succeeds
from cluster.errors import ClusterError
from cluster.paths import Paths

OLDEST_GO = (1, 25, 5)
GIGABYTE = 1_000_000_000
NEEDED_DISK = 12 * GIGABYTE
PACKAGES = {
    "/usr/bin/containerd": "containerd",
    "/usr/sbin/runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "/usr/sbin/nft": "nftables",
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/bin/openssl": "openssl",
    "/usr/sbin/ip": "iproute2",
}


@dataclass(frozen=True)
class Machine:
    """The facts about this machine that the cluster depends on."""

    system: str
    is_root: bool
    has_apt: bool
    go_version: tuple[int, ...] | None
    free_disk: int

    @classmethod
    def here(cls, paths: Paths) -> "Machine":
        """Look at the machine that this runs on."""
        folder = next(parent for parent in (paths.cache, *paths.cache.parents) if parent.exists())
        return cls(
            system=platform.system(),
            is_root=os.geteuid() == 0,
            has_apt=shutil.which("apt-get") is not None,
            go_version=_go_version(),
            free_disk=shutil.disk_usage(folder).free,
        )


def problems_of_building(machine: Machine) -> list[str]:
    """Say what keeps the machine from building the tools."""
    problems = []
    if machine.system != "Linux":
        problems.append(f"the cluster runs on Linux, and this is {machine.system}")
    oldest = ".".join(map(str, OLDEST_GO))
    if machine.go_version is None:
        problems.append(f"there is no `go` on PATH: install Go {oldest} or newer")
    elif machine.go_version < OLDEST_GO:
        found = ".".join(map(str, machine.go_version))
        problems.append(f"Go {found} is too old: install Go {oldest} or newer")
    return problems


def problems_of_running(machine: Machine) -> list[str]:
    """Say what keeps the machine from running a node."""
    problems = problems_of_building(machine)
    if not machine.is_root:
        problems.append("a node needs root (network, mounts, cgroups): run it as root, or with `sudo -E`")
    if not machine.has_apt:
        problems.append("there is no `apt-get`: the node's packages come from Debian (12 or newer)")
    if machine.free_disk < NEEDED_DISK:
        problems.append(
            f"{machine.free_disk / GIGABYTE:.0f} GB of disk are free, and it takes {NEEDED_DISK / GIGABYTE:.0f}: "
            "free some, or set TWEETBOT_CACHE to a larger disk"
        )
    return problems


def require(problems: list[str]) -> None:
    """Stop with all that is missing at once, so that nobody has to find it one by one."""
    if problems:
        raise ClusterError("this machine cannot do that:\n" + "\n".join(f"  - {problem}" for problem in problems))


def install_packages(paths: Paths) -> None:
    """Install the Debian packages that are missing."""
    if "containerd" in debian.install(_missing_packages, paths):
        _stop_packaged_containerd()


def _missing_packages() -> list[str]:
    return sorted(package for file, package in PACKAGES.items() if not Path(file).exists())


def _stop_packaged_containerd() -> None:
    """Stop the service that Debian's package starts: the cluster's containerd is its own."""
    if succeeds(["systemctl", "is-active", "--quiet", "containerd"]):
        output_of(["systemctl", "disable", "--now", "containerd"])


def _go_version() -> tuple[int, ...] | None:
    if shutil.which("go") is None:
        return None
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", output_of(["go", "env", "GOVERSION"]))
    return tuple(int(part or 0) for part in found.groups()) if found else None
