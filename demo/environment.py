"""Where the demo runs: the local cluster of `cluster/`, or a cluster that the user names with KUBECONFIG.

Everything that starts a process goes through `run`, with the environment found here.
"""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
_NEEDED = ("TWEETBOT_S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class DemoError(RuntimeError):
    """The demo cannot go on; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The variables that kubectl, helm and boto3 need, and whose cluster it is."""

    variables: dict[str, str] = field(repr=False)
    is_local: bool
    """Whether the cluster is ours to start and stop."""

    @property
    def s3_endpoint(self) -> str:
        """Address of the S3 store as pods reach it."""
        return self.variables["TWEETBOT_S3_ENDPOINT"]

    def run(self, *command: str, stdin: str | None = None) -> str:
        """Run a command, return what it printed; raise DemoError with its error output if it fails."""
        done = subprocess.run(
            command, input=stdin, env=self.variables, cwd=REPOSITORY, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise DemoError(f"{shlex.join(command)} failed:\n{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def users_cluster() -> Environment | None:
    """Return the cluster that the user named with KUBECONFIG, or None if the local one is to be used."""
    if "KUBECONFIG" not in os.environ:
        return None
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise DemoError(
            f"KUBECONFIG names a cluster of yours, so the demo also needs your S3 store: set {', '.join(missing)}"
        )
    return Environment(variables=dict(os.environ), is_local=False)


def local_cluster() -> Environment:
    """Return the running local cluster's environment."""
    printed = subprocess.run(
        [sys.executable, "-m", "cluster", "env"], cwd=REPOSITORY, text=True, capture_output=True, check=True
    ).stdout
    exports = (shlex.split(line)[1] for line in printed.splitlines() if line.startswith("export "))
    variables = dict(export.split("=", 1) for export in exports)
    path = variables.pop("PATH", "").replace("$PATH", os.environ["PATH"])
    return Environment(variables={**os.environ, **variables, "PATH": path or os.environ["PATH"]}, is_local=True)
