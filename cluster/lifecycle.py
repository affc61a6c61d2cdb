"""The cluster as a whole: up from whatever state it is in, down to nothing, and how it stands."""

import contextlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster import buildkit, containerd, dns, network, node, processes, s3, tools
from cluster.commands import output_of
from cluster.control_plane import ControlPlane, Ports
from cluster.locking import exclusive
from cluster.paths import Paths
from cluster.prerequisites import install_packages
from cluster.progress import step

PORTS = Ports(apiserver=6443, etcd=23790, etcd_peer=23800, controllers=10257, scheduler=10259)
# In the order in which the first image can be built soonest.
TOOLS = ("buildkit", "kubernetes", "s3")
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE = ("containerd", "buildkitd", "kubelet", "kube-proxy", "versitygw")
# Made by the kubelet, by containerd and by buildkitd.
CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUPS = ("kubepods", "k8s.io", "buildkit")


def up(paths: Paths, gpus: int) -> None:
    """Bring up what is not up; the compiler works while packages install."""
    with (
        exclusive(paths.cache / "cluster.lock"),
        ThreadPoolExecutor(1) as downloader,
        ThreadPoolExecutor(1) as compiler,
    ):
        # Only to save time: should a download fail, the compiler tries again and says why.
        for name in TOOLS:
            downloader.submit(tools.download, paths, name)
        programs = {name: compiler.submit(tools.ensure, paths, name) for name in TOOLS}
        install_packages(paths)
        network.up(paths)
        containerd.start(paths)
        programs["buildkit"].result()
        buildkit.start(paths)
        plane = control_plane(paths, programs["kubernetes"].result())
        is_new = not (paths.control_plane / "etcd").exists()
        with step("starting the control plane"):
            if plane.start():
                # kube-proxy empties the chain of an endpoint that goes and comes, and never fills it again: the
                # service `kubernetes` would lead nowhere.
                processes.stop(paths.run / "kube-proxy.json")
                network.forget_services()
        if is_new:
            containerd.forget_pods(paths)
        with step("starting the node"):
            node.start(paths, plane, programs["kubernetes"].result(), gpus)
        dns.start(paths, plane.administrator, programs["kubernetes"].result())
        s3.start(paths, programs["s3"].result())


def down(paths: Paths, *, everything: bool) -> None:
    """Stop what runs and remove what it left; images and the build cache stay unless everything goes."""
    with exclusive(paths.cache / "cluster.lock"), step("stopping the cluster"):
        for name in ("kubelet", "kube-proxy", "buildkitd"):
            processes.stop(paths.run / f"{name}.json")
        containerd.kill_containers(paths)
        if processes.running(paths.run / "containerd.json"):
            containerd.forget_pods(paths)
        control_plane(paths, Path()).stop()
        for name in ("versitygw", "containerd"):
            processes.stop(paths.run / f"{name}.json")
        network.down()
        _unmount(paths.state)
        _remove_cgroups()
        _remove(paths.state, kept=() if everything else paths.kept)


def status(paths: Paths) -> dict[str, str]:
    """Tell of each part how it stands: anything but `running` and `ready` is trouble."""
    pidfiles = [paths.control_plane / "run" / f"{name}.json" for name in CONTROL_PLANE]
    pidfiles += [paths.run / f"{name}.json" for name in NODE]
    found = {file.stem: "running" if processes.running(file) else "down" for file in pidfiles}
    client = control_plane(paths, Path()).administrator if found["kube-apiserver"] == "running" else None
    found["node"] = "ready" if client and node.is_ready(client) else "not ready"
    found["DNS"] = "ready" if client and dns.is_available(client) else "not ready"
    return found


def control_plane(paths: Paths, programs: Path) -> ControlPlane:
    """Describe this cluster's control plane."""
    return ControlPlane(
        paths.control_plane,
        programs=programs,
        address=network.NODE_ADDRESS,
        ports=PORTS,
        service_range=network.SERVICE_RANGE,
        service_address=network.API_SERVICE_ADDRESS,
        controllers=True,
        scheduler=True,
        dies_with_parent=False,
    )


def _unmount(folder: Path) -> None:
    """Undo every mount below a folder, the deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if Path(one).is_relative_to(folder)), reverse=True):
        output_of(["umount", "--lazy", mount])


def _remove_cgroups() -> None:
    """Remove the groups that containers were in. One that still holds a process is not ours: it refuses."""
    for group in CGROUPS:
        for top in (CGROUP_ROOT / group, *CGROUP_ROOT.glob(f"*/{group}")):
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()


def _remove(folder: Path, kept: tuple[Path, ...]) -> None:
    if not folder.exists():
        return
    for entry in folder.iterdir():
        if entry in kept:
            continue
        if any(one.is_relative_to(entry) for one in kept):
            _remove(entry, kept)
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
