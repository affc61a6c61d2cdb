"""The little of the Kubernetes API that starting a cluster needs, over one user's certificate."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError
from cluster.files import write
from cluster.pki import Certificate

TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class KubernetesClient:
    """An apiserver and a user of it."""

    address: str
    authority: Path
    user: Certificate

    def is_ready(self) -> bool:
        """Tell whether the apiserver has started in full."""
        try:
            self._call("GET", "/readyz")
        except (OSError, ClusterError):
            return False
        return True

    def get(self, path: str) -> dict[str, Any] | None:
        """Read an object; nothing if there is none."""
        try:
            answer: dict[str, Any] = json.loads(self._call("GET", path))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return answer

    def patch(self, path: str, operations: list[dict[str, str]]) -> None:
        """Change an object by JSON patch."""
        self._call("PATCH", path, json.dumps(operations).encode(), "application/json-patch+json")

    def write_kubeconfig(self, target: Path) -> None:
        """Write what any other client needs to be this user (JSON is YAML)."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "tweetbot",
                    "cluster": {"server": self.address, "certificate-authority-data": _base64(self.authority)},
                }
            ],
            "users": [
                {
                    "name": "tweetbot",
                    "user": {
                        "client-certificate-data": _base64(self.user.certificate),
                        "client-key-data": _base64(self.user.key),
                    },
                }
            ],
            "contexts": [{"name": "tweetbot", "context": {"cluster": "tweetbot", "user": "tweetbot"}}],
            "current-context": "tweetbot",
        }
        write(target, json.dumps(document, indent=2), mode=0o600)

    def _call(self, method: str, path: str, body: bytes | None = None, media_type: str = "application/json") -> bytes:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.user.certificate, self.user.key)
        # Never by a proxy: this connection stays on the machine.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        request = urllib.request.Request(  # noqa: S310 - always https, to the address of our own apiserver
            self.address + path, data=body, method=method, headers={"Content-Type": media_type}
        )
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            answer: bytes = response.read()
        return answer


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
