"""A small Kubernetes in memory: versions, conflicts, owners, and writes that a crash may cut short."""

import itertools
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from tweetbot_operator.cluster import AlreadyExistsError, ConflictError, GoneError, RefusedError, TransientError
from tweetbot_operator.observed import Key

Document = dict[str, Any]


class CrashError(BaseException):
    """The operator was killed. No `except Exception` may catch it."""


class FakeCluster:
    """Has the methods of `tweetbot_operator.cluster.Cluster`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, Key], Document] = {}
        self.events: list[tuple[str, str, Document]] = []
        """What watches will tell, in order: kind, type, object."""
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.refusals: dict[str, str] = {}
        """Kinds that may not be created, or `pending` that may not be read, and why."""
        self.pending: dict[Key, list[Document]] = {}
        """Who waits in a LocalQueue, as Kueue lists them."""
        self.tokens: dict[str, Document] = {}
        self.crash_at: int | None = None
        """The number of the write that kills the operator; None for never."""
        self.commits_before_crash = True
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)

    # As Cluster

    def get(self, kind: str, key: Key) -> Document:
        self.reads.append(f"get {kind} {key.name}")
        if (kind, key) not in self.objects:
            raise GoneError(f"{kind} {key.name}")
        return copy(self.objects[kind, key])

    def iterate(self, kind: str, namespace: str | None, label: str) -> Iterator[Document]:
        self.reads.append(f"list {kind}")
        name, has_value, value = label.partition("=")
        for item in self.all(kind):
            labels = item["metadata"].get("labels", {})
            is_meant = not label or (labels.get(name) == value if has_value else name in labels)
            if is_meant and namespace in {None, item["metadata"]["namespace"]}:
                yield copy(item)

    def iterate_uids(self, kind: str, namespace: str | None, label: str) -> Iterator[str]:
        return (item["metadata"]["uid"] for item in self.iterate(kind, namespace, label))

    def list_pods(self, namespace: str, label: str) -> list[Document]:
        self.reads.append("list Pod")
        return [
            copy(pod)
            for (kind, key), pod in self.objects.items()
            if kind == "Pod" and key.namespace == namespace and label in pod["metadata"]["labels"]
        ]

    def list_warnings(self, namespace: str, uid: str) -> list[Document]:
        self.reads.append("list Event")
        events = [event for event in self.all("Event") if event["type"] == "Warning"]
        return [copy(event) for event in events if event["involvedObject"]["uid"] == uid]

    def list_workloads(self, namespace: str, job_uid: str) -> list[Document]:
        self.reads.append("list Workload")
        return [
            copy(workload)
            for workload in self.all("Workload")
            if workload["metadata"]["labels"]["kueue.x-k8s.io/job-uid"] == job_uid
        ]

    def list_pending(self, namespace: str, queue: str) -> list[Document]:
        self.reads.append("list pending")
        if "pending" in self.refusals:
            raise TransientError(self.refusals["pending"])
        return [copy(item) for item in self.pending.get(Key(namespace, queue), ())]

    def create(self, manifest: Document) -> Document:
        kind, key = manifest["kind"], _key(manifest)
        if kind in self.refusals:
            raise RefusedError(self.refusals[kind])
        if (kind, key) in self.objects:
            raise AlreadyExistsError(f"{kind} {key.name}")
        return self._write(f"create {kind} {key.name}", lambda: self.put(manifest))

    def replace(self, document: Document) -> Document:
        kind, key = document["kind"], _key(document)
        present = self.objects.get((kind, key))
        if present is None:
            raise GoneError(key.name)
        if present["metadata"]["resourceVersion"] != document["metadata"]["resourceVersion"]:
            raise ConflictError(key.name)
        return self._write(f"replace {kind} {key.name}", lambda: self.put(document))

    def apply(self, manifest: Document) -> Document:
        return self._write(f"apply {manifest['kind']} {_key(manifest).name}", lambda: self.put(manifest))

    def delete(self, kind: str, key: Key, uid: str) -> None:
        if self.get(kind, key)["metadata"]["uid"] != uid:
            raise ConflictError(f"{kind} {key.name}")
        self._write(f"delete {kind} {key.name}", lambda: self.remove(kind, key))

    def patch_status(self, key: Key, resource_version: str, status: Document, kind: str = "TweetBot") -> Document:
        present = self.objects.get((kind, key))
        if present is None:
            raise GoneError(key.name)
        if present["metadata"]["resourceVersion"] != resource_version:
            raise ConflictError(key.name)
        merged = {**present, "status": merge(present.get("status") or {}, status)}
        return self._write(f"patch {key.name}", lambda: self.put(merged))

    def patch_run_id(self, key: Key, resource_version: str, run_id: str | None) -> Document:
        bot = self.get("TweetBot", key)
        if bot["metadata"]["resourceVersion"] != resource_version:
            raise ConflictError(key.name)
        bot["spec"]["runID"] = run_id
        bot["metadata"]["generation"] = bot["metadata"].get("generation", 1) + 1
        return self._write(f"retry {key.name}", lambda: self.put(bot))

    def patch_finalizers(self, key: Key, resource_version: str, finalizers: Sequence[str]) -> Document:
        bot = self.get("TweetBot", key)
        if bot["metadata"]["resourceVersion"] != resource_version:
            raise ConflictError(key.name)
        bot["metadata"]["finalizers"] = list(finalizers)
        is_gone = "deletionTimestamp" in bot["metadata"] and not finalizers
        commit = (lambda: self.remove("TweetBot", key)) if is_gone else (lambda: self.put(bot))
        return self._write(f"finalize {key.name}", commit)

    def review_token(self, token: str, audiences: Sequence[str]) -> Document:
        self.reads.append("review")
        return self.tokens.get(token, {"authenticated": False})

    # For tests

    def put(self, document: Document) -> Document:
        """Store an object as the apiserver would, and tell the watches."""
        kind, key = document["kind"], _key(document)
        present = self.objects.get((kind, key))
        uid = (present or document)["metadata"].get("uid") or f"uid-{next(self._uids)}"
        metadata = {**document["metadata"], "uid": uid, "resourceVersion": str(next(self._versions))}
        metadata.setdefault("creationTimestamp", "2026-11-23T12:00:00Z")
        metadata.setdefault("generation", 1)
        self.objects[kind, key] = copy({**document, "metadata": metadata})
        self.events.append((kind, "MODIFIED" if present else "ADDED", copy(self.objects[kind, key])))
        return copy(self.objects[kind, key])

    def remove(self, kind: str, key: Key) -> Document:
        """Delete an object and, as the garbage collector does, the ConfigMaps and Jobs that it owns."""
        document = self.drop(kind, key)
        for (other, name), child in list(self.objects.items()):
            owners = {owner["uid"] for owner in child["metadata"].get("ownerReferences", ())}
            if other != "Pod" and document["metadata"]["uid"] in owners:
                self.remove(other, name)
        return document

    def drop(self, kind: str, key: Key) -> Document:
        """Delete an object alone, and tell the watches."""
        document = copy(self.objects.pop((kind, key)))
        document["metadata"]["resourceVersion"] = str(next(self._versions))
        self.events.append((kind, "DELETED", document))
        return document

    def all(self, kind: str) -> list[Document]:
        return [document for (found, _), document in self.objects.items() if found == kind]

    def _write(self, what: str, commit: Any) -> Document:
        self.writes.append(what)
        is_last = self.crash_at is not None and len(self.writes) >= self.crash_at
        if is_last and not self.commits_before_crash:
            raise CrashError(what)
        document: Document = commit()
        if is_last:
            raise CrashError(what)
        return document


def merge(old: Document, patch: Document) -> Document:
    """Return the object after a JSON merge patch."""
    result = dict(old)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merge(result[name] if isinstance(result.get(name), dict) else {}, value)
        else:
            result[name] = value
    return result


def copy(document: Document) -> Document:
    """Return the same once more, several times as fast as `copy.deepcopy`."""
    copied: Document = pickle.loads(pickle.dumps(document, pickle.HIGHEST_PROTOCOL))
    return copied


def _key(document: Document) -> Key:
    return Key(document["metadata"]["namespace"], document["metadata"]["name"])
