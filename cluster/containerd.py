"""containerd: runs the containers and keeps the images, in folders and on a socket of our own."""

import os
from pathlib import Path

from cluster.commands import output_of, succeeds
from cluster.files import write
from cluster.locking import exclusive
from cluster.paths import Paths
from cluster.prerequisites import install_packages
from cluster.processes import Daemon, command_line, end

NAMESPACE = "k8s.io"
PAUSE_IMAGE = "docker.io/local/pause:1"
CNI_PROGRAMS = "/usr/lib/cni"

CONFIGURATION = """\
version = 2
root = "{store}"
state = "{state}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE a process may not lower its oom_score_adj.
restrict_oom_score_adj = true
# Network namespaces lie in our state folder, so that `down` finds them.
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_programs}"
conf_dir = "{cni}/conf"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{state}/runc"
"""


def daemon(paths: Paths) -> Daemon:
    """Describe our containerd, and write its configuration."""
    configuration = write(paths.containerd / "config.toml", render(paths))
    return Daemon(
        name="containerd",
        argv=("/usr/bin/containerd", "--config", str(configuration)),
        run=paths.run,
        logs=paths.logs,
        configuration=(configuration,),
    )


def render(paths: Paths) -> str:
    """Write out containerd's configuration."""
    return CONFIGURATION.format(
        store=paths.containerd_store,
        state=paths.containerd / "state",
        socket=paths.containerd_socket,
        folder=paths.containerd,
        pause=PAUSE_IMAGE,
        cni_programs=CNI_PROGRAMS,
        cni=paths.cni,
    )


def start(paths: Paths) -> None:
    """Start containerd and wait until it answers."""
    install_packages(paths)
    with exclusive(paths.cache / "containerd.lock"):
        service = daemon(paths)
        service.start()
        service.wait_until(lambda: succeeds([*ctr(paths), "version"]))


def ctr(paths: Paths) -> list[str]:
    """Begin a command line of containerd's own client."""
    return ["ctr", "--address", str(paths.containerd_socket), "--namespace", NAMESPACE]


def forget_pods(paths: Paths) -> None:
    """Remove what pods of an earlier cluster have left in the store."""
    left = output_of([*ctr(paths), "containers", "list", "--quiet", 'labels."io.cri-containerd.kind"']).split()
    if left:
        output_of([*ctr(paths), "containers", "delete", *left])


def kill_containers(paths: Paths) -> None:
    """End every container: each is below a shim that was started with our socket."""
    processes = _processes()
    socket = str(paths.containerd_socket)
    shims = [pid for pid, argv in processes.items() if "containerd-shim" in argv[0] and socket in argv]
    end([pid for shim in shims for pid in _descendants(shim)], grace_seconds=0)
    end(shims, grace_seconds=2)
    for address in (paths.containerd / "state").glob(f"io.containerd.runtime.v2.task/{NAMESPACE}/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)


def _processes() -> dict[int, list[str]]:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    return {pid: argv for pid in pids if (argv := command_line(pid))}


def _descendants(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for thread in threads for child in thread.read_text().split()]
    return [descendant for child in children for descendant in (child, *_descendants(child))]
