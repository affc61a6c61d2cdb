"""What the watches have told of TweetBotBatches: the objects as JSON, their bots as the few facts that plans need."""

import json
import threading
from typing import Any, NamedTuple

from tweetbot_operator.bot_batches.member import Member, read_batch, read_member
from tweetbot_operator.observed import Document, Key
from tweetbot_operator.store import Facts, read_key, read_version


class _StoredBatch(NamedTuple):
    version: int
    uid: str
    body: bytes


class Roster:
    """TweetBotBatches, and bots by the batch that owns them. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: dict[Key, _StoredBatch] = {}
        self._members: Facts[Member] = Facts()

    def put_batch(self, document: Document) -> None:
        """Keep a TweetBotBatch unless a newer version is there."""
        key, version = read_key(document), read_version(document)
        metadata = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
        body = json.dumps({**document, "metadata": metadata}, separators=(",", ":")).encode()
        with self._lock:
            present = self._batches.get(key)
            if present is None or present.version <= version:
                self._batches[key] = _StoredBatch(version, metadata["uid"], body)

    def drop_batch(self, key: Key) -> None:
        """Forget a TweetBotBatch."""
        with self._lock:
            self._batches.pop(key, None)

    def batch(self, key: Key) -> dict[str, Any] | None:
        """Return a TweetBotBatch."""
        with self._lock:
            present = self._batches.get(key)
        if present is None:
            return None
        document: dict[str, Any] = json.loads(present.body)
        return document

    def batches(self) -> dict[str, Key]:
        """Return the names of all TweetBotBatches by uid."""
        with self._lock:
            return {batch.uid: key for key, batch in self._batches.items()}

    def is_batch(self, key: Key, uid: str) -> bool:
        """Tell whether there is a TweetBotBatch of this name and uid."""
        with self._lock:
            present = self._batches.get(key)
        return present is not None and present.uid == uid

    def put_member(self, document: Document) -> Key | None:
        """Keep the facts of a bot; return the name of the batch that owns it, or None for a bot of its own."""
        owner = read_batch(document)
        if owner is None:
            return None
        member = read_member(document, owner)
        batch = Key(member.key.namespace, owner.name)
        self._members.put(member, [batch], read_version(document), 0)
        return batch

    def drop_member(self, key: Key) -> Key | None:
        """Forget a bot; return the name of the batch that owned it."""
        member = self._members.get(key)
        self._members.drop(key)
        return Key(key.namespace, member.batch.name) if member else None

    def members(self, batch: Key, uid: str) -> tuple[Member, ...]:
        """Return the bots that this very batch owns, not one of the same name before it."""
        return tuple(member for member in self._members.of(batch) if member.batch.uid == uid)
