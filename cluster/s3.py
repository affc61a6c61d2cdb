"""The S3 server: versitygw over a folder, on the node's address, with keys made for this cluster."""

import json
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster import network
from cluster.files import write
from cluster.paths import Paths
from cluster.processes import Daemon

PORT = 7070
REGION = "us-east-1"
ENDPOINT = f"http://{network.NODE_ADDRESS}:{PORT}"


@dataclass(frozen=True)
class Keys:
    """What the server's one account is known by."""

    access_key: str
    secret_key: str


def keys(paths: Paths) -> Keys:
    """Return the cluster's keys, made at first need."""
    file = paths.s3 / "keys.json"
    if not file.exists():
        made = Keys(access_key=secrets.token_hex(10).upper(), secret_key=secrets.token_urlsafe(30))
        write(file, json.dumps(asdict(made)), mode=0o600)
    return Keys(**json.loads(file.read_text()))


def start(paths: Paths, programs: Path) -> None:
    """Start the server and wait until it listens."""
    service = daemon(paths, programs)
    if service.start():
        service.wait_until(is_listening)


def daemon(paths: Paths, programs: Path) -> Daemon:
    """Describe the server, and make its folders."""
    account = keys(paths)
    objects, versions = paths.s3 / "objects", paths.s3 / "versions"
    for folder in (objects, versions):
        folder.mkdir(exist_ok=True)
    return Daemon(
        name="versitygw",
        argv=(
            str(programs / "versitygw"),
            f"--port={network.NODE_ADDRESS}:{PORT}",
            f"--region={REGION}",
            "--quiet",
            "posix",
            f"--versioning-dir={versions}",
            str(objects),
        ),
        run=paths.run,
        logs=paths.logs,
        environment={"ROOT_ACCESS_KEY": account.access_key, "ROOT_SECRET_KEY": account.secret_key},
    )


def is_listening() -> bool:
    """Tell whether the server takes connections."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((network.NODE_ADDRESS, PORT)) == 0
