"""Reads the world for one TweetBotBatch: its bots from memory, its list from the spec or from a ConfigMap.

What the watches have not told yet looks as if it were not there, and would be made. So the bots of a batch are listed
before it is first looked at, and now and then later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tweetbot_api import names
from tweetbot_api.bot_batch import ConfigMapKey, TweetBotBatch
from tweetbot_api.conditions import Reason
from tweetbot_operator.bot_batches.handles import HandleList, read_items, read_text
from tweetbot_operator.bot_batches.plan import LIST_SECONDS, ObservedBatch, Refusal
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.cluster import Cluster, GoneError
from tweetbot_operator.observed import Key
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.store import read_key

_ROLL_SECONDS = 600
"""How often the bots of a batch are listed: an event of a watch can be lost."""
REFUSAL_PAUSE = timedelta(seconds=30)


@dataclass
class _Notes:
    """What is remembered of one batch between two looks. Losing it costs a few requests."""

    uid: str
    listed_at: float | None = None
    list_read_at: float | None = None
    list_read_for: int | None = None
    """The spec's generation that the list was last read for."""
    list_version: object = None
    listing: HandleList | Verdict = field(default_factory=HandleList)
    taken: set[str] = field(default_factory=set)
    refusal: Refusal | None = None
    last_written: datetime | None = None


class BatchObserver:
    """Joins what the watches, the cluster and the last look say about a batch."""

    def __init__(
        self, *, cluster: Cluster, roster: Roster, clock: Callable[[], datetime], uptime: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._roster = roster
        self._clock = clock
        self._uptime = uptime
        self._notes: dict[Key, _Notes] = {}

    def observe(self, batch: TweetBotBatch) -> ObservedBatch:
        """Return the world as far as it matters to this batch."""
        key = Key(batch.metadata.namespace, batch.metadata.name)
        notes = self._notes_of(key, batch.metadata.uid)
        if self._is_due(notes.listed_at, _ROLL_SECONDS):
            self._list_members(key, batch.metadata.uid)
            notes.listed_at, notes.taken = self._uptime(), set()
        self._read_list(batch, notes)
        return ObservedBatch(
            listing=notes.listing,
            members=self._roster.members(key, batch.metadata.uid),
            taken=frozenset(notes.taken),
            refusal=notes.refusal,
            last_written=notes.last_written,
        )

    def note_taken(self, key: Key, name: str) -> None:
        """Remember that a bot of this name is not the batch's own."""
        self._notes[key].taken.add(name)

    def note_refusal(self, key: Key, message: str | None) -> None:
        """Remember why the apiserver will not have a bot, or that it has had one."""
        refusal = Refusal(message=message, retry_at=self._clock() + REFUSAL_PAUSE) if message else None
        self._notes[key].refusal = refusal

    def note_written(self, key: Key) -> None:
        """Remember that the status was written now."""
        if key in self._notes:
            self._notes[key].last_written = self._clock()

    def forget(self, key: Key) -> None:
        """Forget a batch that is gone."""
        self._notes.pop(key, None)

    def _notes_of(self, key: Key, uid: str) -> _Notes:
        notes = self._notes.get(key)
        if notes is None or notes.uid != uid:
            notes = self._notes[key] = _Notes(uid)
        return notes

    def _list_members(self, key: Key, uid: str) -> None:
        """Ask the cluster for the batch's bots and correct the memory by the answer."""
        known = {member.key for member in self._roster.members(key, uid)}
        for document in self._cluster.iterate_bots(key.namespace, names.LABEL_BOT_BATCH, key.name):
            self._roster.put_member(document)
            known.discard(read_key(document))
        for gone in known:
            self._roster.drop_member(gone)

    def _read_list(self, batch: TweetBotBatch, notes: _Notes) -> None:
        source, generation = batch.spec.template.spec.source, batch.metadata.generation
        config_map = batch.spec.handles_from.config_map if batch.spec.handles_from else None
        if config_map is None:
            if notes.list_version != generation:
                notes.listing = read_items(batch.spec.handles or [], batch.metadata.name, source)
                notes.list_version = generation
            return
        if notes.list_read_for == generation and not self._is_due(notes.list_read_at, LIST_SECONDS):
            return
        notes.list_read_at, notes.list_read_for = self._uptime(), generation
        text = self._fetch(batch, config_map)
        if isinstance(text, Verdict):
            notes.listing, notes.list_version = text, None
        elif text != notes.list_version:
            notes.listing, notes.list_version = read_text(text, batch.metadata.name, source), text

    def _fetch(self, batch: TweetBotBatch, config_map: ConfigMapKey) -> str | Verdict:
        try:
            document = self._cluster.get("ConfigMap", Key(batch.metadata.namespace, config_map.name))
        except GoneError:
            message = f"there is no ConfigMap {config_map.name} in namespace {batch.metadata.namespace}; create it"
            return Verdict(Reason.HANDLES_NOT_FOUND, message)
        text: str | None = (document.get("data") or {}).get(config_map.key)
        if text is None:
            message = f"the ConfigMap {config_map.name} has no key {config_map.key}; add it, or correct the batch"
            return Verdict(Reason.HANDLES_NOT_FOUND, message)
        return text

    def _is_due(self, last: float | None, seconds: float) -> bool:
        return last is None or self._uptime() - last >= seconds
