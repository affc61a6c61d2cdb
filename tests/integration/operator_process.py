"""The operator as users run it: a process with a settings file, a kubeconfig and certificates."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import urllib3
import yaml

from cluster.pki import Authority
from tests.integration.api import Api, wait_for
from tweetbot_operator.permissions import CLUSTER_WIDE, NAMESPACED, OWN_NAMESPACE
from tweetbot_operator.settings import OperatorSettings, load_settings

ROOT = Path(__file__).parents[2]
USER = "tweetbot-operator"
START = "import sys; from tweetbot_operator.main import main; sys.exit(main())"


class OperatorProcess:
    def __init__(self, folder: Path, kubeconfig: Path, settings: Path, identity: str = "operator") -> None:
        self._folder = folder
        self._kubeconfig = kubeconfig
        self._settings_path = settings
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None
        self.settings: OperatorSettings = load_settings(settings)

    def __enter__(self) -> "OperatorProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, *, acts: bool = True) -> None:
        """Start it and wait until it acts and watches, or stands by."""
        self.launch()
        wait_for(self.acts if acts else self._is_healthy)

    def launch(self) -> None:
        """Start it."""
        path = os.pathsep.join(str(ROOT / part) for part in ("api", "operator"))
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "KUBECONFIG": str(self._kubeconfig),
            "MALLOC_ARENA_MAX": "2",  # as in Dockerfile.operator
        }
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, "--settings", str(self._settings_path), "--identity", self._identity],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def is_alive(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """End it politely; return its exit status."""
        assert self._process
        self._process.terminate()
        return self._process.wait(20)

    def kill(self) -> None:
        """End it in the middle of whatever it does; nothing happens if it has ended or was never started."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)

    def get(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.settings.server.health_port}{path}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=5) as response:
            text: str = response.read().decode()
        return text

    def post(self, path: str, message: dict[str, Any], token: str) -> int:
        """Send a message as a trainer does: over TLS, trusting only the operator's own certificate."""
        tls = self.settings.server.tls_dir
        with urllib3.PoolManager(cert_reqs="CERT_REQUIRED", ca_certs=str(tls / "ca.crt"), retries=False) as pool:
            url = f"{self.settings.server.url}{path}"
            return pool.request("POST", url, json=message, headers={"Authorization": f"Bearer {token}"}).status

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    @property
    def _log_path(self) -> Path:
        return self._folder / "operator.log"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def acts(self) -> bool:
        """Tell whether it holds the Lease and watches."""
        return self._is_healthy() and "tweetbot_bots{" in self.get("/metrics") and self._is_healthy()

    def _is_healthy(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log
        try:
            return self.get("/healthz") == "ok"
        except OSError:
            return False


def allow_all_namespaces(api: Api) -> None:
    """Give the operator's user the rights that the chart gives an operator of the whole cluster."""
    api.allow(USER, [*NAMESPACED, *CLUSTER_WIDE])
    api.allow(f"{USER}-own", OWN_NAMESPACE, "default", USER)


def allow_one_namespace(api: Api, namespace: str) -> str:
    """Give an operator the rights that the chart gives one of a single namespace; return its user."""
    user = f"operator-of-{namespace}"
    api.allow(user, NAMESPACED, namespace)
    api.allow(user, CLUSTER_WIDE)
    api.allow(f"{user}-own", OWN_NAMESPACE, "default", user)
    return user


def write_settings(folder: Path, authority: Authority, namespaces: Sequence[str] = ()) -> Path:
    """Write what the chart mounts: the settings file and the certificates."""
    port, health_port = _free_port(), _free_port()
    serving = authority.server("operator-server", ["127.0.0.1"])
    tls = folder / "tls"
    tls.mkdir()
    for name, source in {
        "tls.crt": serving.certificate,
        "tls.key": serving.key,
        "ca.crt": authority.root.certificate,
    }.items():
        (tls / name).write_bytes(source.read_bytes())
    settings = {
        "images": {"prepare": "registry.test/prepare:1", "train": "registry.test/train:1"},
        "server": {
            "url": f"https://127.0.0.1:{port}",
            "port": port,
            "healthPort": health_port,
            "tlsDir": str(tls),
        },
        "defaults": {"s3": {"bucket": "models", "credentialsSecret": {"name": "s3-keys"}}},
        "retryPauseSeconds": 1,
        "apiRequestsPerSecond": 400,
        "lease": {"namespace": "default", "name": f"operator-{port}"},
        "namespaces": list(namespaces),
    }
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
