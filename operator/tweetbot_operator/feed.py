"""Takes note of what the watches see and asks for the bots that it concerns; never looks at what has changed."""

from collections.abc import Callable
from typing import Any

from tweetbot_operator.observed import Key, ObservedJob
from tweetbot_operator.store import Store, read_key
from tweetbot_operator.waiting import Item
from tweetbot_operator.workqueue import WorkQueue

Event = dict[str, Any]
_DELETED = "DELETED"


class Feed:
    """Where watch events go."""

    def __init__(self, store: Store, queue: WorkQueue[Item], uptime: Callable[[], float]) -> None:
        self._store = store
        self._queue = queue
        self._uptime = uptime

    def see_bot(self, event: Event) -> None:
        """Take note of a TweetBot."""
        key = read_key(event["object"])
        if event["type"] == _DELETED:
            self._store.drop_bot(key)
        else:
            self._store.put_bot(event["object"])
        self._queue.add(key)

    def see_job(self, event: Event) -> None:
        """Take note of a Job and ask for the bots of its batch."""
        job = self._store.put_job(event["object"], self._uptime())
        if event["type"] == _DELETED:
            self._store.drop_job(job.key)
        self._ask_for_batch(job)

    def see_pod(self, event: Event) -> None:
        """Take note of a pod and ask for the bots of its Job's batch."""
        pod = self._store.put_pod(event["object"], self._uptime())
        if event["type"] == _DELETED:
            self._store.pods.drop(pod.key)
        job = self._store.jobs.get(Key(pod.key.namespace, pod.job_name))
        if job is not None:
            self._ask_for_batch(job)

    def _ask_for_batch(self, job: ObservedJob) -> None:
        for owner in job.owners:
            self._queue.add(Key(job.key.namespace, owner.name))
