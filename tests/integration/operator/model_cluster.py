"""A cluster whose states can be compared: nothing in it comes by chance, and equal contents are known to be equal."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from tests.unit.operator.fake_cluster import Document, FakeCluster
from tweetbot_operator.cluster import ConflictError, TransientError
from tweetbot_operator.observed import Key

_WRITES = frozenset({"create", "apply", "delete", "patch_status", "patch_finalizers"})


class ModelCluster(FakeCluster):
    """Names uids by what they are of, deletes as Kubernetes does, and may lose the reply to a write."""

    def __init__(self) -> None:
        super().__init__()
        self.births: dict[str, int] = {}
        self.contents: dict[int, str] = {}
        """A hash of what each version of an object says; no version is used twice."""
        self.turns: list[tuple[str | None, str | None]] = []
        """Each change of phase since the state was put up: before, after."""
        self.loses_reply = False

    def put(self, document: Document) -> Document:
        if document["kind"] == "Event":
            # Status says all that matters.
            return document
        kind, key = document["kind"], read_key(document)
        if (kind, key) not in self.objects:
            name = f"{kind}-{key.name}"
            self.births[name] = self.births.get(name, 0) + 1
            document = {**document, "metadata": {**document["metadata"], "uid": f"{name}-{self.births[name]}"}}
        stored = super().put(document)
        self.contents[read_version(stored)] = _hash(stored)
        return stored

    def remove(self, kind: str, key: Key) -> Document:
        """Delete an object at once; what it owns goes later."""
        before = read_version(self.objects[kind, key])
        document = self.drop(kind, key)
        self.contents[read_version(document)] = self.contents[before]
        return document

    def delete(self, kind: str, key: Key, uid: str) -> None:
        """Mark an object as being deleted; it goes after what it owns."""
        document = self.get(kind, key)
        if document["metadata"]["uid"] != uid:
            raise ConflictError(f"{kind} {key.name}")
        document["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
        self._write(f"delete {kind} {key.name}", lambda: self.put(document))

    def patch_status(self, key: Key, resource_version: str, status: Document, kind: str = "TweetBot") -> Document:
        before = self.objects.get((kind, key), {}).get("status", {}).get("phase")
        document = super().patch_status(key, resource_version, status, kind)
        self.turns.append((before, document["status"].get("phase")))
        return document

    def forget_what_was_done(self) -> None:
        """Begin the records of what is done anew."""
        self.crash_at, self.loses_reply = None, False
        self.events, self.turns, self.writes, self.reads = [], [], [], []

    def _write(self, what: str, commit: Any) -> Document:
        document = super()._write(what, commit)
        if self.loses_reply:
            self.loses_reply = False
            raise TransientError("the reply is lost")
        return document


class Connection:
    """One operator's way to the cluster: something may happen there just before one of its writes arrives."""

    def __init__(self, cluster: ModelCluster) -> None:
        self._cluster = cluster
        self.meanwhile: Callable[[], None] | None = None
        self.free_writes = 0
        """How many writes arrive before that happens."""

    def __getattr__(self, name: str) -> Any:
        if name in _WRITES and self.meanwhile is not None:
            if self.free_writes == 0:
                meanwhile, self.meanwhile = self.meanwhile, None
                meanwhile()
            self.free_writes -= 1
        return getattr(self._cluster, name)


def read_key(document: Document) -> Key:
    return Key(document["metadata"]["namespace"], document["metadata"]["name"])


def read_version(document: Document) -> int:
    return int(document["metadata"]["resourceVersion"])


def _hash(document: Document) -> str:
    metadata = {name: value for name, value in document["metadata"].items() if name != "resourceVersion"}
    return hashlib.sha256(json.dumps({**document, "metadata": metadata}, sort_keys=True).encode()).hexdigest()[:16]
