"""Takes note of what the watches see and asks for the bots that it concerns; never looks at what has changed."""

from collections.abc import Callable
from typing import Any

from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.observed import Key, ObservedJob, ObservedPod
from tweetbot_operator.store import Store, read_key
from tweetbot_operator.waiting import Item
from tweetbot_operator.workqueue import WorkQueue

SUMMARY_SECONDS = 1.0
"""A TweetBotBatch is looked at this long after news of its bots, for all of them together."""

Event = dict[str, Any]
_DELETED, _MODIFIED = "DELETED", "MODIFIED"


class Feed:
    """Where watch events go."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue[Item],
        roster: Roster,
        batch_queue: WorkQueue[Key],
        uptime: Callable[[], float],
    ) -> None:
        self._store = store
        self._queue = queue
        self._roster = roster
        self._batch_queue = batch_queue
        self._uptime = uptime
        self._told: dict[str, int] = {}

    def see_bot(self, event: Event) -> None:
        """Take note of a TweetBot, and ask for it and for the TweetBotBatch that owns it."""
        key = read_key(event["object"])
        batch = self._roster.put_member(event["object"])
        if event["type"] == _DELETED:
            self._store.drop_bot(key)
            self._roster.drop_member(key)
        else:
            self._store.put_bot(event["object"])
        self._queue.add(key)
        if batch is not None:
            self._batch_queue.add_within(batch, SUMMARY_SECONDS)

    def see_bot_batch(self, event: Event) -> None:
        """Take note of a TweetBotBatch."""
        key = read_key(event["object"])
        if event["type"] == _DELETED:
            self._roster.drop_batch(key)
        else:
            self._roster.put_batch(event["object"])
        self._batch_queue.add(key)

    def see_job(self, event: Event) -> None:
        """Take note of a Job and ask for the bots of its batch."""
        job = self._store.put_job(event["object"], self._uptime())
        if event["type"] == _DELETED:
            self._store.drop_job(job.key)
        if self._is_news(event, job):
            self._ask_for_batch(job)

    def see_pod(self, event: Event) -> None:
        """Take note of a pod and ask for the bots of its Job's batch."""
        pod = self._store.put_pod(event["object"], self._uptime())
        if event["type"] == _DELETED:
            self._store.pods.drop(pod.key)
        job = self._store.jobs.get(Key(pod.key.namespace, pod.job_name))
        if job is not None and self._is_news(event, pod):
            self._ask_for_batch(job)

    def _is_news(self, event: Event, fact: ObservedJob | ObservedPod) -> bool:
        """Tell whether the bots have not been asked for since the object was so.

        Most changes of a Job or a pod touch nothing that plans rest on, and each costs a look at every bot of a batch.
        """
        if event["type"] == _DELETED:
            self._told.pop(fact.uid, None)
            return True
        before, now = self._told.get(fact.uid), hash(repr(fact))
        self._told[fact.uid] = now
        return event["type"] != _MODIFIED or before != now

    def _ask_for_batch(self, job: ObservedJob) -> None:
        for owner in job.owners:
            key = Key(job.key.namespace, owner.name)
            queue = self._batch_queue if self._roster.is_batch(key, owner.uid) else self._queue
            queue.add(key)
