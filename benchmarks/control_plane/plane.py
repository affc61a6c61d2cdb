"""The stage on which every contestant plays alone: a control plane of its own, and fake nodes that run its pods.

etcd without fsync, apiserver, controller manager, scheduler and kwok as processes on loopback, in a folder, with no
kubelet and no route: nothing runs in a pod. The audit log has every request, reads too. Services have loopback
addresses, so that a webhook's Service leads to the process that listens there.
"""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

from benchmarks.control_plane.audit import Request, read_requests
from cluster import processes, tools
from cluster.control_plane import LOOPBACK, ControlPlane
from cluster.files import write
from cluster.paths import Paths
from cluster.processes import Daemon
from tests.integration.api import Api, ApiError, wait_for
from tweetbot_api.names import GPU_RESOURCE, LABEL_MANAGED_BY, MANAGED_BY
from tweetbot_operator.permissions import Rule

Document = dict[str, Any]
NODES = 50
NAMESPACE = "bots"
_NODE_CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU_RESOURCE: "8"}
_EVERYTHING = {"level": "Metadata"}
_TOKEN_SECONDS = 24 * 3600
_STAGES = ("node/fast/node-initialize", "node/heartbeat/node-heartbeat",
           "pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete")  # fmt: skip
_LARGEST_AUDIT_LOG = 4_000
"""MiB; the log must not be rotated away while it is counted."""


@dataclass(frozen=True)
class Setting:
    """How fast the clients may ask the apiserver."""

    name: str
    controllers: tuple[str, ...]
    """Arguments of kube-controller-manager."""
    jobset: tuple[str, ...]
    """Arguments of JobSet; Kubeflow Trainer v2.0.0 has none for this."""
    operator_requests_per_second: float | None
    """`apiRequestsPerSecond` of our operator; None for its default."""


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("defaults", (), (), None),
        Setting(
            "lifted",
            ("--kube-api-qps=2000", "--kube-api-burst=4000", "--concurrent-job-syncs=20"),
            ("--kube-api-qps=2000", "--kube-api-burst=4000"),
            2000,
        ),
    )
}


class Plane:
    """A running control plane with fake nodes."""

    def __init__(self, folder: Path, control_plane: ControlPlane) -> None:
        self.folder = folder
        self.authority = control_plane.authority
        self._control_plane = control_plane
        self.client: ApiClient = connect(control_plane.kubeconfig)
        self.api = Api(self.client)
        self.tools = Paths.from_environment()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self._control_plane.kubeconfig

    def be_user(self, name: str) -> Path:
        """Return the kubeconfig of a user known by certificate."""
        path = self.folder / f"{name}.kubeconfig"
        self._control_plane.client(name, name).write_kubeconfig(path)
        return path

    def be_service_account(self, namespace: str, name: str) -> Path:
        """Return the kubeconfig of a client that has a service account's token, as a pod has."""
        spec = {"expirationSeconds": _TOKEN_SECONDS}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = self.api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", request)
        document = json.loads(self.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": answer["status"]["token"]}
        return write(self.folder / f"{name}.kubeconfig", json.dumps(document), mode=0o600)

    def start(self, name: str, *argv: str | Path, environment: dict[str, str] | None = None) -> int:
        """Start a program beside the control plane; return its process id."""
        daemon = Daemon(
            name=name,
            argv=tuple(map(str, argv)),
            run=self.folder / "run",
            logs=self.folder / "logs",
            environment=environment or {},
            dies_with_parent=True,
        )
        daemon.start()
        pid = daemon.pid()
        if pid is None:
            raise RuntimeError(f"{name} ended just after its start: {daemon.log.read_text()[-2000:]}")
        return pid

    def stop(self, name: str) -> None:
        """End a program that start() started."""
        processes.stop(self.folder / "run" / f"{name}.json")

    def apply(self, document: Document) -> None:
        """Make an object, whatever its kind; return when a new kind is served."""
        api_version, kind = document["apiVersion"], document["kind"]
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        resource = next(item for item in self._served(prefix) if item["kind"] == kind and "/" not in item["name"])
        namespace = f"/namespaces/{document['metadata']['namespace']}" if resource["namespaced"] else ""
        self.api.call("POST", f"{prefix}{namespace}/{resource['name']}", document)
        if kind == "CustomResourceDefinition":
            spec = document["spec"]
            prefix, plural = f"/apis/{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["plural"]
            wait_for(lambda: plural in {item["name"] for item in self._served(prefix)})

    def _served(self, prefix: str) -> list[Document]:
        try:
            resources: list[Document] = self.api.call("GET", prefix)["resources"]
        except ApiError:
            return []
        return resources

    def ensure_namespace(self, name: str) -> None:
        """Make a namespace unless it is there."""
        if not self.api.exists(f"/api/v1/namespaces/{name}"):
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def allow_all(self, user: str) -> None:
        """Grant a user every right; unlike an administrator's, its requests wait their turn as all others do."""
        everything = Rule(api_groups=("*",), resources=("*",), verbs=("*",), why="it plays a part of the cluster")
        self.api.allow(user, [everything])

    def requests(self) -> list[Request]:
        """Return all requests so far."""
        with self._control_plane.audit_log.open() as lines:
            return list(read_requests(line for line in lines if line.endswith("\n")))

    def component(self, name: str) -> int:
        """Return the process id of a part of the control plane."""
        record = processes.running(self._control_plane.directory / "run" / f"{name}.json")
        if record is None:
            raise RuntimeError(f"{name} has ended")
        return record.pid


@contextlib.contextmanager
def start_plane(folder: Path, setting: Setting) -> Iterator[Plane]:
    """Start everything that all contestants share, and stop it."""
    folder.mkdir(parents=True)
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
    policy_file = write(folder / "audit-everything.json", json.dumps({**policy, "rules": [_EVERYTHING]}))
    with ControlPlane(
        folder / "control-plane",
        controllers=True,
        scheduler=True,
        apiserver_arguments=[f"--audit-policy-file={policy_file}", f"--audit-log-maxsize={_LARGEST_AUDIT_LOG}"],
        controllers_arguments=setting.controllers,
    ) as control_plane:
        plane = Plane(folder, control_plane)
        try:
            _add_nodes(plane)
            plane.ensure_namespace(NAMESPACE)
            wait_for(lambda: plane.api.exists(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"))
            yield plane
        finally:
            for pidfile in (folder / "run").glob("*.json"):
                processes.stop(pidfile)
            # It would wait for the watches that follow the measurement, and nothing of it is kept.
            processes.stop(control_plane.directory / "run" / "kube-apiserver.json", grace_seconds=0)


def _add_nodes(plane: Plane) -> None:
    kwok = tools.ensure(plane.tools, "kwok") / "kwok"
    stages = write(plane.folder / "stages.yaml", yaml.safe_dump_all(_read_stages()))
    plane.allow_all("kwok")
    for number in range(NODES):
        name = f"fake-{number:02d}"
        capacity = {"capacity": _NODE_CAPACITY, "allocatable": _NODE_CAPACITY}
        plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": capacity})
    plane.start("kwok", kwok, "--manage-all-nodes=true", f"--config={stages}",
                f"--kubeconfig={plane.be_user('kwok')}")  # fmt: skip
    wait_for(lambda: sum(map(_is_ready, plane.api.call("GET", "/api/v1/nodes")["items"])) == NODES, 60)


def _read_stages() -> list[Document]:
    """Return kwok's own stages; the pods of our operator are left to the player."""
    folder = tools.module_folder("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage"
    stages: list[Document] = [yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in _STAGES]
    for stage in stages:
        if stage["metadata"]["name"] in {"pod-ready", "pod-complete"}:
            ours = {"key": f'.metadata.labels["{LABEL_MANAGED_BY}"]', "operator": "NotIn", "values": [MANAGED_BY]}
            stage["spec"]["selector"]["matchExpressions"].append(ours)
    return stages


def _is_ready(node: Document) -> bool:
    conditions = node["status"].get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions) and not node["spec"].get(
        "taints"
    )


def connect(kubeconfig: Path) -> ApiClient:
    """Return a client with the rights that a kubeconfig gives."""
    client: ApiClient = new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
    return client


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        port: int = one.getsockname()[1]
    return port
