"""A Kubernetes control plane in a folder: etcd and the apiserver, if wanted the controllers and the scheduler.

It needs no root and no network but one address of this machine, so a test can have one of its own in seconds:

    with ControlPlane(tmp_path) as control_plane:
        use(control_plane.kubeconfig)
"""

import contextlib
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from cluster import processes, tools
from cluster.files import write
from cluster.kubernetes_client import KubernetesClient
from cluster.paths import Paths
from cluster.pki import Authority
from cluster.processes import Daemon

LOOPBACK = "127.0.0.1"
# Loopback addresses: what is sent to a service of a control plane without nodes cannot leave the machine.
LOOPBACK_SERVICES = "127.96.0.0/16"
SERVICE_HOSTS = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                 "kubernetes.default.svc.cluster.local")  # fmt: skip
FRONT_PROXY = "front-proxy-client"
# Every write, by whom and when, without its body: what a test or a benchmark counts.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "verbs": ["get", "list", "watch"]}, {"level": "Metadata"}],
}


@dataclass(frozen=True)
class Ports:
    """Where each part listens."""

    apiserver: int
    etcd: int
    etcd_peer: int
    controllers: int
    scheduler: int

    @classmethod
    def free(cls) -> "Ports":
        """Choose ports that nobody listens on."""
        with contextlib.ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in range(5)]
            for one in sockets:
                one.bind((LOOPBACK, 0))
            return cls(*(one.getsockname()[1] for one in sockets))


class ControlPlane:
    """A control plane whose data, keys, logs and pidfiles lie in one folder."""

    def __init__(
        self,
        directory: Path,
        *,
        programs: Path | None = None,
        address: str = LOOPBACK,
        ports: Ports | None = None,
        service_range: str = LOOPBACK_SERVICES,
        service_address: str = "127.96.0.1",
        controllers: bool = False,
        scheduler: bool = False,
        dies_with_parent: bool = True,
        apiserver_arguments: Sequence[str] = (),
        controllers_arguments: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.authority = Authority(directory / "pki")
        self.kubeconfig = directory / "admin.kubeconfig"
        self.audit_log = directory / "logs" / "audit.log"
        self._programs = programs
        self._address = address
        self._ports = ports or Ports.free()
        self._service_range = service_range
        self._service_address = service_address
        self._with_controllers = controllers
        self._with_scheduler = scheduler
        self._dies_with_parent = dies_with_parent
        self._apiserver_arguments = apiserver_arguments
        self._controllers_arguments = controllers_arguments

    def __enter__(self) -> "ControlPlane":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def server(self) -> str:
        """The apiserver's address."""
        return f"https://{self._address}:{self._ports.apiserver}"

    @property
    def administrator(self) -> KubernetesClient:
        """A client that may do everything."""
        return self.client("admin", "admin", "system:masters")

    def client(self, name: str, user: str, group: str = "") -> KubernetesClient:
        """Return a client that is known to the apiserver as a user in a group."""
        return KubernetesClient(self.server, self.authority.root.certificate, self.authority.client(name, user, group))

    def start(self) -> bool:
        """Start what does not run and wait until the apiserver is ready; tell whether that was started."""
        self.authority.create()
        self.administrator.write_kubeconfig(self.kubeconfig)
        self._etcd().start()
        apiserver = self._apiserver()
        is_new = apiserver.start()
        apiserver.wait_until(self.administrator.is_ready)
        if self._with_controllers:
            self._controllers().start()
        if self._with_scheduler:
            self._scheduler().start()
        return is_new

    def stop(self) -> None:
        """Stop everything, the apiserver before the etcd that it writes to."""
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            processes.stop(self.directory / "run" / f"{name}.json")

    def _etcd(self) -> Daemon:
        url, peer = f"http://{LOOPBACK}:{self._ports.etcd}", f"http://{LOOPBACK}:{self._ports.etcd_peer}"
        return self._daemon(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def _apiserver(self) -> Daemon:
        policy = write(self.directory / "audit-policy.json", json.dumps(AUDIT_POLICY))
        addresses = sorted({self._address, LOOPBACK, self._service_address})
        serving = self.authority.server("kube-apiserver", addresses, SERVICE_HOSTS)
        kubelet_client = self.authority.client("kubelet-client", "kube-apiserver", "system:masters")
        front_proxy = self.authority.client(FRONT_PROXY, FRONT_PROXY)
        tokens = self.authority.service_accounts
        root = self.authority.root.certificate
        return self._daemon(
            "kube-apiserver",
            f"--etcd-servers=http://{LOOPBACK}:{self._ports.etcd}",
            f"--bind-address={self._address}",
            f"--advertise-address={self._address}",
            f"--secure-port={self._ports.apiserver}",
            f"--service-cluster-ip-range={self._service_range}",
            # A loopback address is no endpoint: without nodes the service `kubernetes` leads nowhere.
            f"--endpoint-reconciler-type={'none' if self._address == LOOPBACK else 'lease'}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={root}",
            f"--kubelet-certificate-authority={root}",
            f"--kubelet-client-certificate={kubelet_client.certificate}",
            f"--kubelet-client-key={kubelet_client.key}",
            "--kubelet-preferred-address-types=InternalIP",
            # To servers of other APIs in pods, which ask it who the user is (`APIService`).
            f"--proxy-client-cert-file={front_proxy.certificate}",
            f"--proxy-client-key-file={front_proxy.key}",
            f"--requestheader-client-ca-file={root}",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--profiling=false",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100",
            "--audit-log-maxbackup=1",
            *self._apiserver_arguments,
            configuration=(policy,),
        )

    def _controllers(self) -> Daemon:
        root = self.authority.root
        return self._daemon(
            "kube-controller-manager",
            *self._component("kube-controller-manager", self._ports.controllers),
            f"--service-account-private-key-file={self.authority.service_accounts.key}",
            f"--root-ca-file={root.certificate}",
            f"--cluster-signing-cert-file={root.certificate}",
            f"--cluster-signing-key-file={root.key}",
            "--use-service-account-credentials=true",
            "--allocate-node-cidrs=false",
            *self._controllers_arguments,
        )

    def _scheduler(self) -> Daemon:
        return self._daemon("kube-scheduler", *self._component("kube-scheduler", self._ports.scheduler))

    def _component(self, name: str, port: int) -> list[str]:
        kubeconfig = self.directory / f"{name}.kubeconfig"
        self.client(name, f"system:{name}").write_kubeconfig(kubeconfig)
        return [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            f"--cert-dir={self.directory / name}",
            "--leader-elect=false",
        ]

    def _daemon(self, name: str, *arguments: str, configuration: tuple[Path, ...] = ()) -> Daemon:
        if self._programs is None:
            self._programs = tools.ensure(Paths.from_environment(), "kubernetes")
        return Daemon(
            name=name,
            argv=(str(self._programs / name), *arguments),
            run=self.directory / "run",
            logs=self.directory / "logs",
            configuration=configuration,
            dies_with_parent=self._dies_with_parent,
        )
