"""The Kubernetes API as a test's hands: JSON in, JSON out, and the parts of a kubelet that a test plays."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

from cluster.control_plane import ControlPlane
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import CONTAINER, TOKEN_AUDIENCE
from tweetbot_api.termination import encode_termination
from tweetbot_operator.permissions import Rule

Document = dict[str, Any]
PATIENCE_SECONDS = 30
_KUBELET = "tests.tweetbot.dev/kubelet"
CRDS = Path(__file__).parents[2] / "crds"


class ApiError(Exception):
    """The apiserver refused; the message is its own."""


class Api:
    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def call(self, method: str, path: str, body: Document | None = None, media_type: str = "application/json") -> Any:
        response = self._client.rest_client.pool_manager.request(
            method,
            self._client.configuration.host + path,
            body=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": media_type, "Accept": "application/json"},
            timeout=urllib3.Timeout(20),
        )
        if response.status >= 300:
            is_status = response.headers["Content-Type"] == "application/json"
            raise ApiError(json.loads(response.data)["message"] if is_status else response.data.decode())
        return json.loads(response.data)

    def exists(self, path: str) -> bool:
        try:
            self.call("GET", path)
        except ApiError:
            return False
        return True

    def allow(self, name: str, rules: Sequence[Rule], namespace: str | None = None, user: str | None = None) -> None:
        """Grant these rules to a user, in one namespace or in all; the role has the user's name if it has no other."""
        group, kind = "rbac.authorization.k8s.io", "Role" if namespace else "ClusterRole"
        path = f"/apis/{group}/v1" + (f"/namespaces/{namespace}" if namespace else "")
        role = {"kind": kind, "metadata": {"name": name}, "rules": [rule.to_wire() for rule in rules]}
        self.call("POST", f"{path}/{kind.lower()}s", role)
        binding = {
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
            "subjects": [{"kind": "User", "name": user or name}],
        }
        self.call("POST", f"{path}/{kind.lower()}bindings", binding)

    # TweetBots

    def create_bot(self, namespace: str, name: str = "ann", **spec: Any) -> Document:
        whole = {"handles": [name], "source": {"archive": {"uri": f"s3://tweets/{name}.zip"}}, **spec}
        bot = {"apiVersion": "tweetbot.dev/v1alpha1", "kind": "TweetBot", "metadata": {"name": name}, "spec": whole}
        created: Document = self.call("POST", f"{bots_path(namespace)}?fieldValidation=Strict", bot)
        return created

    def bot(self, namespace: str, name: str = "ann") -> Document:
        bot: Document = self.call("GET", f"{bots_path(namespace)}/{name}")
        return bot

    def edit_bot(self, namespace: str, spec: Document, name: str = "ann") -> None:
        path = f"{bots_path(namespace)}/{name}"
        self.call("PATCH", path, {"spec": spec}, "application/merge-patch+json")

    def history(self, namespace: str, version: str, name: str = "ann") -> list[Document]:
        """Return what a bot became by each write since this version of it, until it was gone."""
        bots = self.call("GET", bots_path(namespace))["items"]
        now = [bot["metadata"]["resourceVersion"] for bot in bots if bot["metadata"]["name"] == name]
        if now == [version]:
            return []
        path = f"{bots_path(namespace)}?watch=1&fieldSelector=metadata.name={name}&resourceVersion={version}"
        states = []
        with self._client.rest_client.pool_manager.request(
            "GET", self._client.configuration.host + path, preload_content=False, timeout=urllib3.Timeout(20)
        ) as response:
            for line in response:
                event = json.loads(line)
                states.append(event["object"])
                if event["type"] == "DELETED" or [states[-1]["metadata"]["resourceVersion"]] == now:
                    return states
        raise AssertionError(f"the history of {name} has no end")

    def wait_for_status(
        self,
        namespace: str,
        holds: Callable[[Document], Any],
        name: str = "ann",
        seconds: float = PATIENCE_SECONDS,
    ) -> Document:
        seen: list[Document] = []

        def look() -> bool:
            seen.append(self.bot(namespace, name).get("status") or {})
            return bool(holds(seen[-1]))

        try:
            wait_for(look, seconds)
        except TimeoutError:
            raise AssertionError(f"not reached: {json.dumps(seen[-1], indent=1)}") from None
        return seen[-1]

    # Jobs and pods

    def list(self, namespace: str, kind: str) -> list[Document]:
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        items = self.call("GET", f"{group}/namespaces/{namespace}/{kind}")["items"]
        return [item for item in items if item["metadata"]["name"] != "kube-root-ca.crt"]

    def wait_for_pod(self, namespace: str, job_name: str) -> Document:
        def find() -> Document | None:
            return next(
                (pod for pod in self.list(namespace, "pods") if pod["metadata"]["name"].startswith(job_name)), None
            )

        wait_for(find)
        pod = find()
        assert pod
        return pod

    def start_pod(self, pod: Document, since: datetime | None = None) -> None:
        """Play the kubelet of a pod that runs, since now if nothing else is said."""
        started = _format(since or datetime.now(UTC))
        pod["status"]["startTime"] = started
        self._patch_pod(pod, "Running", {"running": {"startedAt": started}})

    def hold_pod(self, pod: Document, reason: str, message: str) -> None:
        """Play the kubelet of a pod that cannot start."""
        self._patch_pod(pod, "Pending", {"waiting": {"reason": reason, "message": message}})

    def end_pod(self, pod: Document, outcome: BotOutcome | None, exit_code: int = 0) -> None:
        """Play the kubelet of a pod that has ended."""
        self.end_shared_pod(pod, [outcome] if outcome else [], exit_code)

    def end_shared_pod(self, pod: Document, outcomes: Sequence[BotOutcome], exit_code: int = 0) -> None:
        """Play the kubelet of a pod that worked on several bots and has ended."""
        message = encode_termination(outcomes) if outcomes else ""
        ended = {"exitCode": exit_code, "message": message, "startedAt": _now(), "finishedAt": _now()}
        self._patch_pod(pod, "Failed" if exit_code else "Succeeded", {"terminated": ended})

    def drain_pod(self, pod: Document) -> None:
        """Play an eviction: the pod is marked as disrupted and its container was stopped."""
        ended = {"exitCode": 143, "message": "", "startedAt": _now(), "finishedAt": _now()}
        disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        self._patch_pod(pod, "Failed", {"terminated": ended}, [disrupted])

    def keep_pod(self, pod: Document) -> None:
        """Play a kubelet that takes its time to stop the pod: one without a node is gone as soon as it is deleted."""
        self._edit_finalizers(pod, lambda found: [*found, _KUBELET])

    def let_pod_go(self, pod: Document) -> None:
        """Play a kubelet that has stopped the pod at last."""
        self._edit_finalizers(pod, lambda found: [name for name in found if name != _KUBELET])

    def suspend_job(self, path: str, *, value: bool) -> None:
        """Play Kueue: have the Job's pods stopped, or let them start."""
        self.call("PATCH", path, {"spec": {"suspend": value}}, "application/merge-patch+json")

    def _edit_finalizers(self, pod: Document, edit: Callable[[Sequence[str]], Sequence[str]]) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"

        def is_done() -> bool:
            found = self.call("GET", path)["metadata"]
            wanted = {"resourceVersion": found["resourceVersion"], "finalizers": edit(found.get("finalizers") or [])}
            # The Job controller, which has a finalizer of its own, may have been faster.
            with suppress(ApiError):
                self.call("PATCH", path, {"metadata": wanted}, "application/merge-patch+json")
                return True
            return False

        wait_for(is_done)

    def _patch_pod(self, pod: Document, phase: str, state: Document, conditions: Sequence[Document] = ()) -> None:
        metadata = pod["metadata"]
        container = {"name": CONTAINER, "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        scheduled = {"type": "PodScheduled", "status": "True", "reason": None, "message": None}
        started = {} if phase == "Pending" else {"startTime": pod["status"].get("startTime") or _now()}
        status = {"phase": phase, "containerStatuses": [container], "conditions": [scheduled, *conditions], **started}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self.call("PATCH", path, {"status": status}, "application/strategic-merge-patch+json")

    def request_token(self, pod: Document, audience: str = TOKEN_AUDIENCE) -> str:
        """Return the token that the kubelet would mount into the pod."""
        metadata = pod["metadata"]
        reference = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
        spec = {"audiences": [audience], "boundObjectRef": reference, "expirationSeconds": 3600}
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/default/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.call("POST", path, body)["status"]["token"])


def serve_crds(control_plane: ControlPlane) -> Api:
    """Return an administrator of a control plane that knows our kinds from now on."""
    api = Api(new_client_from_config(str(control_plane.kubeconfig)))  # type: ignore[no-untyped-call]
    paths = sorted(CRDS.glob("*.yaml"))
    for path in paths:
        api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(path.read_text()))
    wait_for(lambda: all(api.exists(f"/apis/tweetbot.dev/v1alpha1/{path.stem}") for path in paths))
    return api


def bots_path(namespace: str) -> str:
    return f"/apis/tweetbot.dev/v1alpha1/namespaces/{namespace}/tweetbots"


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def _now() -> str:
    return _format(datetime.now(UTC))


def _format(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
