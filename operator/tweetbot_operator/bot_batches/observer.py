"""Reads the world for one TweetBotBatch: its bots from memory, its list from the spec or from a ConfigMap.

A bot that memory lacks looks as if it were not there, and would be made. So memory is complete before the first look,
as `listing` sees to, and takes up each bot when it is made.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tweetbot_api import names
from tweetbot_api.bot_batch import ConfigMapKey, CsvFile, TweetBotBatch
from tweetbot_api.conditions import Reason
from tweetbot_operator.bot_batches.handles import HandleList, read_items, read_text
from tweetbot_operator.bot_batches.list_job import list_job_key
from tweetbot_operator.bot_batches.plan import LIST_SECONDS, ObservedBatch, Reading, Refusal
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.cluster import Cluster, GoneError
from tweetbot_operator.fetching import fetch_job
from tweetbot_operator.observed import Key
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.store import Store

REFUSAL_PAUSE = timedelta(seconds=30)


class _NoKey:
    """The ConfigMap is there, the key is not."""


@dataclass
class _Notes:
    """What is remembered of one batch between two looks. Losing it costs a few requests."""

    uid: str
    list_read_at: float | None = None
    list_read_for: int | None = None
    """The spec's generation that the list was last read for."""
    listing: HandleList | Reading | Verdict = field(default_factory=HandleList)
    taken: dict[str, str] = field(default_factory=dict)
    """Names of wanted bots that others own, with the uids of theirs."""
    refusal: Refusal | None = None
    last_written: datetime | None = None


class BatchObserver:
    """Joins what the watches, the cluster and the last look say about a batch."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        roster: Roster,
        operator_ca: Callable[[], str],
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._roster = roster
        self._operator_ca = operator_ca
        self._clock = clock
        self._uptime = uptime
        self._notes: dict[Key, _Notes] = {}

    def observe(self, batch: TweetBotBatch) -> ObservedBatch:
        """Return the world as far as it matters to this batch."""
        key = Key.of(batch.metadata)
        notes = self._notes_of(key, batch.metadata.uid)
        notes.taken = {name: uid for name, uid in notes.taken.items() if self._is_there(key.namespace, name, uid)}
        self._read_list(batch, notes)
        return ObservedBatch(
            listing=notes.listing,
            operator_ca=self._operator_ca(),
            members=self._roster.members(key, batch.metadata.uid),
            taken=frozenset(notes.taken),
            refusal=notes.refusal,
            last_written=notes.last_written,
        )

    def note_taken(self, key: Key, name: str, uid: str) -> None:
        """Remember, for as long as that bot is there, that the one of this name is not the batch's own."""
        self._notes[key].taken[name] = uid

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

    def _is_there(self, namespace: str, name: str, uid: str) -> bool:
        stored = self._store.bot(Key(namespace, name))
        return stored is not None and stored.uid == uid

    def _read_list(self, batch: TweetBotBatch, notes: _Notes) -> None:
        """Bring the list up to date; what is known already is asked for each minute."""
        handles_from, generation = batch.spec.handles_from, batch.metadata.generation
        is_known = notes.list_read_for == generation and not isinstance(notes.listing, Reading)
        if is_known and (handles_from is None or not self._is_due(notes.list_read_at, LIST_SECONDS)):
            return
        notes.list_read_at, notes.list_read_for = self._uptime(), generation
        name, source = batch.metadata.name, batch.spec.template.spec.source
        if handles_from is None:
            notes.listing = read_items(batch.spec.handles or [], name, source)
        elif handles_from.config_map:
            text = self._read_config_map(batch, handles_from.config_map)
            notes.listing = text if isinstance(text, Verdict) else read_text(text, name, source)
        elif handles_from.csv:
            notes.listing = self._read_csv(batch, handles_from.csv)

    def _read_csv(self, batch: TweetBotBatch, csv: CsvFile) -> HandleList | Reading:
        """Return what a Job has handed over. The Job is looked at first: once it has ended, so much is there."""
        key = list_job_key(batch, csv)
        job = fetch_job(self._cluster, self._store, key, self._uptime())
        text = self._find_text(Key(key.namespace, names.handles_config_map(key.name)), names.HANDLES_KEY)
        if isinstance(text, str):
            return read_text(text, batch.metadata.name, batch.spec.template.spec.source, "handle")
        return Reading(job=job, pods=tuple(sorted(self._store.pods.of(key), key=lambda pod: pod.created, reverse=True)))

    def _read_config_map(self, batch: TweetBotBatch, config_map: ConfigMapKey) -> str | Verdict:
        key = Key(batch.metadata.namespace, config_map.name)
        text = self._find_text(key, config_map.key)
        if isinstance(text, str):
            return text
        if text is None:
            message = f"there is no ConfigMap {key.name} in namespace {key.namespace}; create it"
        else:
            message = f"the ConfigMap {key.name} has no key {config_map.key}; add it, or correct the batch"
        return Verdict(Reason.HANDLES_NOT_FOUND, message)

    def _find_text(self, config_map: Key, key: str) -> str | _NoKey | None:
        """Return what stands in a ConfigMap below a key; None if there is no such ConfigMap."""
        try:
            document = self._cluster.get("ConfigMap", config_map)
        except GoneError:
            return None
        text: str | None = (document.get("data") or {}).get(key)
        return _NoKey() if text is None else text

    def _is_due(self, last: float | None, seconds: float) -> bool:
        return last is None or self._uptime() - last >= seconds
