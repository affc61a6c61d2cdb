"""Where everything lies: tools that all clones share, and one folder that holds all state of the cluster."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError

# A Unix socket's path holds at most 107 bytes; the longest below the state folder is the kubelet's, of a plugin.
LONGEST_STATE_PATH = 60


@dataclass(frozen=True)
class Paths:
    """The layout below the cache folder."""

    cache: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Paths":
        """Find the cache folder: TWEETBOT_CACHE, or a folder of ours in the user's cache."""
        chosen = environment.get("TWEETBOT_CACHE")
        if not chosen:
            base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "~")) / ".cache")
            chosen = f"{base}/tweetbot"
        paths = cls(Path(chosen).expanduser().absolute())
        if len(os.fsencode(paths.state)) > LONGEST_STATE_PATH:
            raise ClusterError(
                f"{paths.state} is too long a path for the sockets below it "
                f"(over {LONGEST_STATE_PATH} bytes): set TWEETBOT_CACHE to a shorter one"
            )
        return paths

    @property
    def tools(self) -> Path:
        """Hold one folder of built programs for each group of Go modules."""
        return self.cache / "tools"

    @property
    def state(self) -> Path:
        """Hold all that the running cluster has written."""
        return self.cache / "cluster"

    @property
    def logs(self) -> Path:
        """Hold the log of each daemon and of each long command."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Hold the pidfile of each daemon."""
        return self.state / "run"

    @property
    def containerd(self) -> Path:
        """Hold containerd's configuration, socket, state and store."""
        return self.state / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """Lead to containerd."""
        return self.containerd / "containerd.sock"

    @property
    def containerd_store(self) -> Path:
        """Hold images and snapshots."""
        return self.containerd / "root"

    @property
    def cni(self) -> Path:
        """Hold the network's configuration and the addresses in use."""
        return self.state / "cni"

    @property
    def buildkit(self) -> Path:
        """Hold buildkitd's configuration, socket and build cache."""
        return self.state / "buildkit"

    @property
    def buildkit_socket(self) -> Path:
        """Lead to buildkitd."""
        return self.buildkit / "buildkitd.sock"

    @property
    def control_plane(self) -> Path:
        """Hold etcd's data, the keys and the kubeconfigs."""
        return self.state / "control-plane"

    @property
    def kubeconfig(self) -> Path:
        """Hold what an administrator needs to reach the cluster."""
        return self.control_plane / "admin.kubeconfig"

    @property
    def kubelet(self) -> Path:
        """Hold the kubelet's configuration and the pods' volumes."""
        return self.state / "kubelet"

    @property
    def s3(self) -> Path:
        """Hold the S3 server's keys, objects and versions."""
        return self.state / "s3"

    @property
    def kept(self) -> tuple[Path, ...]:
        """Name what `down` leaves: the images and the build cache, which take minutes to make again."""
        return (self.containerd_store, self.buildkit)
