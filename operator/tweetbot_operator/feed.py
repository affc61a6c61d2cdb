"""Takes note of what the watches see and asks for the bots that it concerns; never looks at what has changed."""

from collections.abc import Callable
from typing import Any, ClassVar

from tweetbot_api import names
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Document, Key, ObservedJob, ObservedPod
from tweetbot_operator.store import Store, read_key
from tweetbot_operator.waiting import Item
from tweetbot_operator.workqueue import WorkQueue

SUMMARY_SECONDS = 1.0
"""A TweetBotBatch is looked at this long after news of its bots, for all of them together."""

OURS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
"""The label selector of Jobs and pods that we have made."""

Event = dict[str, Any]
_ADDED, _DELETED = "ADDED", "DELETED"


class Feed:
    """Where watch events go, those of lists with the type None."""

    kinds: ClassVar[tuple[tuple[str, str], ...]] = (
        (names.BATCH_KIND, ""),
        (names.KIND, ""),
        ("Job", OURS),
        ("Pod", OURS),
    )
    """What is watched, with a label selector; whoever belongs to another comes after it."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue[Item],
        roster: Roster,
        batch_queue: WorkQueue[Key],
        metrics: Metrics,
        uptime: Callable[[], float],
    ) -> None:
        self._store = store
        self._queue = queue
        self._roster = roster
        self._batch_queue = batch_queue
        self._metrics = metrics
        self._uptime = uptime
        self._told: dict[str, int] = {}
        self._hands: dict[str, tuple[Callable[[Event], None], Callable[[Key], None]]] = {
            names.BATCH_KIND: (self.see_bot_batch, self._forget_bot_batch),
            names.KIND: (self.see_bot, self._forget_bot),
            "Job": (self.see_job, self._forget_job),
            "Pod": (self.see_pod, self._forget_pod),
        }
        """What takes note of an object of a kind, and what forgets it."""

    def see(self, kind: str, event: Event) -> None:
        """Take note of an object of this kind."""
        self._hands[kind][0](event)

    def note_bot(self, document: Document) -> None:
        """Take note of a TweetBot that somebody has asked the cluster for: to a list it is no news any more."""
        self.see_bot({"type": None, "object": document})

    def see_bot(self, event: Event) -> None:
        """Take note of a TweetBot, and ask for it and for the TweetBotBatch that owns it."""
        document = event["object"]
        key = read_key(document)
        if event["type"] == _DELETED:
            self._forget_bot(key)
            return
        is_news = self._store.put_bot(document)
        batch = self._roster.put_member(document)
        if event["type"] is None and not is_news:
            return
        self._queue.add(key)
        if batch is not None:
            self._batch_queue.add_within(batch, SUMMARY_SECONDS)

    def see_bot_batch(self, event: Event) -> None:
        """Take note of a TweetBotBatch."""
        key = read_key(event["object"])
        if event["type"] == _DELETED:
            self._forget_bot_batch(key)
        else:
            self._roster.put_batch(event["object"])
            self._batch_queue.add(key)

    def see_job(self, event: Event) -> None:
        """Take note of a Job and ask for the bots, or the TweetBotBatch, that it works for."""
        job = self._store.put_job(event["object"], self._uptime())
        if event["type"] == _DELETED:
            self._forget_job(job.key)
        elif self._is_news(event, job):
            self._ask_for_owners(job)

    def see_pod(self, event: Event) -> None:
        """Take note of a pod and ask for those that its Job works for."""
        known = self._store.pods.get(read_key(event["object"]))
        pod = self._store.put_pod(event["object"], self._uptime())
        job = self._find_job(pod)
        if event["type"] == _DELETED:
            self._forget_pod(pod.key)
            return
        self._measure_wait(event, known, pod)
        if job is not None and self._is_news(event, pod):
            self._ask_for_owners(job)

    def known(self, kind: str) -> dict[str, Key]:
        """Return what is known of a kind: names by uid."""
        if kind == names.BATCH_KIND:
            return self._roster.batches()
        if kind == names.KIND:
            return self._store.bots()
        facts = self._store.jobs.all() if kind == "Job" else self._store.pods.all()
        return {fact.uid: fact.key for fact in facts}

    def forget(self, kind: str, key: Key) -> None:
        """Forget what has gone without a word of the watches, as if they had told."""
        self._hands[kind][1](key)

    def _forget_bot_batch(self, key: Key) -> None:
        self._roster.drop_batch(key)
        self._batch_queue.add(key)

    def _forget_bot(self, key: Key) -> None:
        batch = self._roster.drop_member(key)
        self._store.drop_bot(key)
        self._queue.add(key)
        if batch is not None:
            self._batch_queue.add_within(batch, SUMMARY_SECONDS)

    def _forget_job(self, key: Key) -> None:
        job = self._store.jobs.get(key)
        self._store.drop_job(key)
        if job is not None:
            self._told.pop(job.uid, None)
            self._ask_for_owners(job)

    def _forget_pod(self, key: Key) -> None:
        pod = self._store.pods.get(key)
        self._store.pods.drop(key)
        if pod is not None:
            self._told.pop(pod.uid, None)
            if job := self._find_job(pod):
                self._ask_for_owners(job)

    def _measure_wait(self, event: Event, known: ObservedPod | None, pod: ObservedPod) -> None:
        """Count for how long a pod has waited, once, when a watch tells first that a node has it."""
        was_waiting = known is None or known.started is None
        if event["type"] is not None and was_waiting and pod.started is not None:
            self._metrics.note_pod_wait(pod.kind, (pod.started - pod.created).total_seconds())

    def _find_job(self, pod: ObservedPod) -> ObservedJob | None:
        return self._store.jobs.get(Key(pod.key.namespace, pod.job_name))

    def _is_news(self, event: Event, fact: ObservedJob | ObservedPod) -> bool:
        """Tell whether the bots have not been asked for since the object was so.

        Most changes of a Job or a pod touch nothing that plans rest on, and each costs a look at every bot of a batch.
        """
        before, now = self._told.get(fact.uid), hash(repr(fact))
        self._told[fact.uid] = now
        return event["type"] == _ADDED or before != now

    def _ask_for_owners(self, job: ObservedJob) -> None:
        for owner in job.owners:
            key = Key(job.key.namespace, owner.name)
            queue = self._batch_queue if self._roster.is_batch(key, owner.uid) else self._queue
            queue.add(key)
