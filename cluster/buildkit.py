"""BuildKit: builds images from Dockerfiles straight into the store that the kubelet uses."""

from cluster import containerd
from cluster.commands import succeeds
from cluster.files import write
from cluster.locking import exclusive
from cluster.paths import Paths
from cluster.processes import Daemon
from cluster.progress import step
from cluster.tools import ensure

CONFIGURATION = """\
root = "{folder}/root"

[grpc]
address = ["unix://{socket}"]

[worker.oci]
enabled = false

[worker.containerd]
enabled = true
address = "{containerd}"
namespace = "{namespace}"
snapshotter = "overlayfs"
# A RUN step downloads packages by the machine's own network; it never runs in the cluster's.
networkMode = "host"
gc = true

# Old layers go first; caches that RUN steps mount (wheels, packages) are kept longest.
[[worker.containerd.gcpolicy]]
filters = ["type==source.local"]
keepDuration = "48h"
maxUsedSpace = "512MB"

[[worker.containerd.gcpolicy]]
all = true
reservedSpace = "14GB"
maxUsedSpace = "28GB"
minFreeSpace = "5GB"
"""


def render(paths: Paths) -> str:
    """Write out buildkitd's configuration."""
    return CONFIGURATION.format(
        folder=paths.buildkit,
        socket=paths.buildkit_socket,
        containerd=paths.containerd_socket,
        namespace=containerd.NAMESPACE,
    )


def start(paths: Paths) -> None:
    """Start what builds images: containerd and buildkitd."""
    containerd.start(paths)
    ensure(paths, "buildkit")
    with exclusive(paths.cache / "buildkitd.lock"):
        service = daemon(paths)
        if service.start():
            with step("starting the image builder"):
                service.wait_until(lambda: succeeds([*buildctl(paths), "debug", "workers"]))


def daemon(paths: Paths) -> Daemon:
    """Describe our buildkitd, and write its configuration."""
    configuration = write(paths.buildkit / "buildkitd.toml", render(paths))
    return Daemon(
        name="buildkitd",
        argv=(str(ensure(paths, "buildkit") / "buildkitd"), "--config", str(configuration)),
        run=paths.run,
        logs=paths.logs,
        configuration=(configuration,),
    )


def buildctl(paths: Paths) -> list[str]:
    """Begin a command line of buildkitd's client."""
    return [str(ensure(paths, "buildkit") / "buildctl"), "--addr", f"unix://{paths.buildkit_socket}"]
