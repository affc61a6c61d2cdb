"""The only way to Kubernetes: a few verbs over plain JSON, and errors that say what to do next.

ClusterError
  GoneError           it does not exist (any more)
  ConflictError       it was changed since it was read: read again
  AlreadyExistsError  the name is taken
  RefusedError        the apiserver will not have it: forbidden, invalid, over quota
  TransientError      the apiserver did not answer, or asks for patience
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlencode

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from tweetbot_api import names
from tweetbot_operator.api_paths import collection_path, is_fenced, name_resource
from tweetbot_operator.metrics import NO_ANSWER, Requests
from tweetbot_operator.observed import Document, Key
from tweetbot_operator.throttle import Throttle

REQUEST_SECONDS = 10
"""Longest request: `lease` counts on it."""
_CONNECT_SECONDS = 3
_PAGE, _PAGE_OF_WHOLE_OBJECTS = 500, 100
_JSON = "application/json"
_METADATA = f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_DEFAULT_PAUSE_SECONDS = 1.0
_KUEUE_VERSIONS = ("v1beta2", "v1beta1")
"""Newest first: Kueue serves one or both."""


class ClusterError(Exception):
    """A request that the cluster did not grant."""


class GoneError(ClusterError):
    """It does not exist (any more)."""


class ConflictError(ClusterError):
    """It was changed since it was read."""


class AlreadyExistsError(ClusterError):
    """The name is taken."""


class RefusedError(ClusterError):
    """The apiserver will not have it: forbidden, invalid, over quota."""


class TransientError(ClusterError):
    """The apiserver did not answer, or asks for patience."""


class Cluster:
    """A Kubernetes apiserver. Every method blocks, so it is called in worker threads."""

    def __init__(self, connections: int, throttle: Throttle, requests: Requests) -> None:
        """Connect as the pod's service account, or as the kubeconfig says."""
        self._throttle = throttle
        self._requests = requests
        self._may_write: Callable[[], bool] = lambda: True
        configuration = Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = connections
        configuration.retries = False
        self._api = ApiClient(configuration)

    def fence(self, may_write: Callable[[], bool]) -> None:
        """Refuse every write from now on while this says no: another replica acts then."""
        self._may_write = may_write

    def get(self, kind: str, key: Key) -> Document:
        """Return an object as it is now."""
        return self._call("GET", f"{collection_path(kind, key.namespace)}/{key.name}")

    def iterate(self, kind: str, namespace: str | None, label: str) -> Iterator[Document]:
        """Yield the objects of a kind that a label selector finds, in one namespace or in all, a page at a time."""
        return self._list(collection_path(kind, namespace), {"labelSelector": label}, page=_PAGE_OF_WHOLE_OBJECTS)

    def iterate_uids(self, kind: str, namespace: str | None, label: str) -> Iterator[str]:
        """Yield the uids of the same, of which the apiserver sends no more than the metadata."""
        for document in self._list(collection_path(kind, namespace), {"labelSelector": label}, accept=_METADATA):
            yield document["metadata"]["uid"]

    def list_pods(self, namespace: str, label: str) -> list[Document]:
        """Return the pods that carry a label, whatever its value."""
        return list(self._list(collection_path("Pod", namespace), {"labelSelector": label}))

    def list_warnings(self, namespace: str, uid: str) -> list[Document]:
        """Return the Warning Events about an object."""
        selector = f"involvedObject.uid={uid},type=Warning"
        return list(self._list(collection_path("Event", namespace), {"fieldSelector": selector}))

    def list_workloads(self, namespace: str, job_uid: str) -> list[Document]:
        """Return Kueue's Workloads of a Job, none where there is no Kueue."""
        for version in _KUEUE_VERSIONS:
            path = f"/apis/kueue.x-k8s.io/{version}/namespaces/{namespace}/workloads"
            try:
                return list(self._list(path, {"labelSelector": f"{names.LABEL_WORKLOAD_JOB}={job_uid}"}))
            except GoneError:
                continue
        return []

    def list_pending(self, namespace: str, queue: str) -> list[Document]:
        """Return who waits in a LocalQueue, the next one first, a thousand at most; raise GoneError if nobody tells.

        Source: https://kueue.sigs.k8s.io/docs/reference/kueue-visibility.v1beta1/
        """
        for version in _KUEUE_VERSIONS:
            path = f"/apis/visibility.kueue.x-k8s.io/{version}/namespaces/{namespace}/localqueues/{queue}"
            with suppress(GoneError):
                pending: list[Document] = self._call("GET", f"{path}/pendingworkloads").get("items") or []
                return pending
        raise GoneError(f"nobody tells who waits in the queue {queue}")

    def create(self, manifest: Document) -> Document:
        """Make an object; raise AlreadyExistsError if the name is taken."""
        path = collection_path(manifest["kind"], manifest["metadata"]["namespace"])
        return self._call("POST", path, manifest, query={"fieldManager": names.FIELD_MANAGER})

    def apply(self, manifest: Document) -> Document:
        """Bring an object into this form by server-side apply, whether it exists or not."""
        metadata = manifest["metadata"]
        return self._call(
            "PATCH",
            f"{collection_path(manifest['kind'], metadata['namespace'])}/{metadata['name']}",
            manifest,
            query={"fieldManager": names.FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
        )

    def replace(self, document: Document) -> Document:
        """Write an object as it was read, but for what was changed in it; raise ConflictError if others changed it."""
        metadata = document["metadata"]
        path = f"{collection_path(document['kind'], metadata['namespace'])}/{metadata['name']}"
        return self._call("PUT", path, document, query={"fieldManager": names.FIELD_MANAGER})

    def delete(self, kind: str, key: Key, uid: str) -> None:
        """Delete this very object; it stays, marked as being deleted, until its pods have ended."""
        options = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
        self._call("DELETE", f"{collection_path(kind, key.namespace)}/{key.name}", options)

    def patch_status(self, key: Key, resource_version: str, status: Document, kind: str = names.KIND) -> Document:
        """Merge into a resource's status; raise ConflictError if it is not at this version any more."""
        return self._call(
            "PATCH",
            f"{collection_path(kind, key.namespace)}/{key.name}/status",
            {"metadata": {"resourceVersion": resource_version}, "status": status},
            query={"fieldManager": names.FIELD_MANAGER},
            content_type="application/merge-patch+json",
        )

    def patch_finalizers(self, key: Key, resource_version: str, finalizers: Sequence[str]) -> Document:
        """Set a TweetBot's finalizers; raise ConflictError if it is not at this version any more."""
        return self._call(
            "PATCH",
            f"{collection_path(names.KIND, key.namespace)}/{key.name}",
            {"metadata": {"resourceVersion": resource_version, "finalizers": list(finalizers)}},
            query={"fieldManager": names.FIELD_MANAGER},
            content_type="application/merge-patch+json",
        )

    def patch_run_id(self, key: Key, resource_version: str, run_id: str | None) -> Document:
        """Set a TweetBot's `spec.runID`; raise ConflictError if it is not at this version any more."""
        return self._call(
            "PATCH",
            f"{collection_path(names.KIND, key.namespace)}/{key.name}",
            {"metadata": {"resourceVersion": resource_version}, "spec": {"runID": run_id}},
            query={"fieldManager": names.FIELD_MANAGER},
            content_type="application/merge-patch+json",
        )

    def review_token(self, token: str, audiences: Sequence[str]) -> Document:
        """Ask whose token it is; the answer is the status of a TokenReview."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": list(audiences)},
        }
        answer = self._call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
        status: Document = answer.get("status") or {}
        return status

    def _list(
        self, path: str, query: Mapping[str, str], *, page: int = _PAGE, accept: str = _JSON
    ) -> Iterator[Document]:
        """Yield the items of all pages of a list."""
        rest: dict[str, str] = {}
        while True:
            answer = self._call("GET", path, query={**query, "limit": str(page), **rest}, accept=accept)
            # An empty list of metadata has null in its place.
            yield from answer["items"] or ()
            rest = {"continue": answer["metadata"].get("continue") or ""}
            if not rest["continue"]:
                return

    def _call(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> Document:
        self._requests.note_pause(self._throttle.wait())
        if is_fenced(method, path) and not self._may_write():
            raise TransientError(f"{method} {path}: another replica may act by now")
        headers = {"Accept": accept, "Content-Type": content_type}
        # The token is asked for anew each time: the kubelet renews the file that it comes from.
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{self._api.configuration.host}{path}{'?' + urlencode(query) if query else ''}"
        try:
            response = self._api.rest_client.pool_manager.request(
                method,
                url,
                headers=headers,
                body=None if body is None else json.dumps(body).encode(),
                timeout=urllib3.Timeout(total=REQUEST_SECONDS, connect=_CONNECT_SECONDS),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            self._requests.note(method, name_resource(path), NO_ANSWER)
            raise TransientError(f"{method} {path}: {error}") from error
        self._requests.note(method, name_resource(path), str(response.status))
        if response.status in {429, 503}:
            self._throttle.pause(_read_pause(response.headers.get("Retry-After")))
        if response.status >= 300:
            raise _explain(method, path, response.status, response.data)
        return _read_answer(method, path, response.data)


def _read_answer(method: str, path: str, body: bytes) -> Document:
    """Return the object that was sent; what a proxy or a connection that broke off puts in its place may pass."""
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise TransientError(f"{method} {path}: the answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise TransientError(f"{method} {path}: the answer is not an object")
    return answer


def _explain(method: str, path: str, code: int, body: bytes) -> ClusterError:
    """Return the error that an answer of the apiserver stands for."""
    reason, message = _read_status(body)
    text = f"{method} {path}: {code} {message}"
    if code == 404:
        return GoneError(text)
    if code == 409:
        return AlreadyExistsError(text) if reason == "AlreadyExists" else ConflictError(text)
    if code in {400, 403, 405, 413, 422}:
        return RefusedError(message)
    return TransientError(text)


def _read_pause(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else _DEFAULT_PAUSE_SECONDS


def _read_status(body: bytes) -> tuple[str, str]:
    try:
        status = json.loads(body)
        return str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        return "", body[:200].decode(errors="replace")
