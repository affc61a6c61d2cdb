"""A rival's controller as a process, with the manifests, arguments and rights that its Deployment has.

It has its service account's token. Its webhook's Service has a loopback address, so that the
apiserver finds the process itself, by the certificate that it has made. Copying that from its Secret to where the
process reads it is the kubelet's part, and played.
"""

import base64
import shutil
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.control_plane.contestant import own_folder
from benchmarks.control_plane.plane import Plane, free_port
from cluster import tools
from cluster.commands import output_of
from tests.integration.api import wait_for

Document = dict[str, Any]
_INSTALLED: Final = ("CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role",
                     "RoleBinding", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")  # fmt: skip
_START_SECONDS = 90
_ROTATORS_LOOK_AT = Path("/tmp/k8s-webhook-server/serving-certs/tls.crt")  # noqa: S108 - built into both rivals


@dataclass
class Controller:
    """A program of the group `rivals` and what it is installed with."""

    program: str
    namespace: str
    account: str
    secret: str
    """Where it keeps its webhook's certificate."""
    manifests: tuple[Path, ...]
    """Folders that `kubectl kustomize` renders."""
    arguments: tuple[str, ...]
    pid: int = 0
    _plane: Plane | None = field(default=None, repr=False)

    def start(self, plane: Plane) -> None:
        """Install it, start it, give it its certificate, wait until it is ready."""
        self._plane = plane
        folder = own_folder(plane, self.program)
        health, port = free_port(), free_port()
        self._install(plane, port)
        arguments = [f"--health-probe-bind-address=127.0.0.1:{health}", *self.arguments]
        if self.program == "jobset":
            arguments += [f"--config={_write_configuration(folder, self.namespace, port)}", "--metrics-bind-address=0"]
        else:
            arguments.append(f"--webhook-server-port={port}")
        kubeconfig = plane.be_service_account(self.namespace, self.account)
        self.pid = plane.start(
            self.program,
            tools.ensure(plane.tools, "rivals") / self.program,
            f"--kubeconfig={kubeconfig}",
            *arguments,
            environment={"TMPDIR": str(folder)},
        )
        try:
            self._mount_certificate(plane, folder)
            wait_for(lambda: _is_ready(health), _START_SECONDS)
        finally:
            shutil.rmtree(_ROTATORS_LOOK_AT.parents[1], ignore_errors=True)

    def stop(self) -> None:
        """End it."""
        if self._plane is not None:
            self._plane.stop(self.program)

    def _install(self, plane: Plane, port: int) -> None:
        plane.ensure_namespace(self.namespace)
        documents = [document for folder in self.manifests for document in _render(plane, folder)]
        service = ""
        for document in documents:
            if document["kind"] not in _INSTALLED:
                continue
            if document["kind"] == "ServiceAccount":
                document["metadata"]["namespace"] = self.namespace
            for subject in document.get("subjects") or ():
                subject["namespace"] = self.namespace
            for webhook in document.get("webhooks") or ():
                reference = webhook["clientConfig"]["service"]
                reference |= {"namespace": self.namespace, "port": port}
                service = reference["name"]
            plane.apply(document)
        ports = {"ports": [{"port": port}]}
        metadata = {"name": service, "namespace": self.namespace}
        plane.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": ports})
        metadata = {"name": self.secret, "namespace": self.namespace}
        plane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})

    def _mount_certificate(self, plane: Plane, folder: Path) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{self.secret}"
        wait_for(lambda: "tls.crt" in (plane.api.call("GET", path).get("data") or {}), _START_SECONDS)
        mounted = folder / "k8s-webhook-server" / "serving-certs"
        mounted.mkdir(parents=True)
        for name, data in plane.api.call("GET", path)["data"].items():
            (mounted / name).write_bytes(base64.b64decode(data))
        # It waits until a certificate lies here, and reads the one below its folder for temporary files.
        _ROTATORS_LOOK_AT.parent.mkdir(parents=True, exist_ok=True)
        _ROTATORS_LOOK_AT.touch()


def _render(plane: Plane, folder: Path) -> list[Document]:
    kubectl = tools.ensure(plane.tools, "kubernetes") / "kubectl"
    return list(yaml.safe_load_all(output_of([kubectl, "kustomize", folder])))


def _write_configuration(folder: Path, namespace: str, port: int) -> Path:
    """Write JobSet's configuration: its own, but for the port, and the namespace that a pod would know."""
    configuration = {
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "leaderElection": {"leaderElect": True, "resourceNamespace": namespace},
        "webhook": {"port": port},
    }
    path = folder / "controller_manager_config.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return path


def _is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            ready: bool = response.status == 200
    except OSError:
        return False
    return ready
