"""At which place of its queue does a Job wait? Kueue is asked once for all that wait there, now and then."""

from collections.abc import Callable
from dataclasses import dataclass

from tweetbot_operator.cluster import Cluster, ClusterError
from tweetbot_operator.observed import Document, Key, ObservedJob

_FRESH_SECONDS = 20.0
_SILENT_SECONDS = 600.0
"""How long Kueue is not asked again where it does not answer: its server of places may be switched off."""


@dataclass(frozen=True, slots=True)
class _Line:
    places: dict[str, int]
    """By the uid of the Job."""
    stale_at: float


class QueuePlaces:
    """What is known of who waits where. It may be called in several threads."""

    def __init__(self, cluster: Cluster, uptime: Callable[[], float]) -> None:
        self._cluster = cluster
        self._uptime = uptime
        self._lines: dict[Key, _Line] = {}

    def find(self, job: ObservedJob) -> int | None:
        """Return the Job's place, 1 for the next one; None if it does not wait, or is too far behind to be told."""
        if job.queue is None:
            return None
        queue, now = Key(job.key.namespace, job.queue), self._uptime()
        line = self._lines.get(queue)
        if line is None or line.stale_at <= now:
            line = self._lines[queue] = self._ask(queue, now)
        return line.places.get(job.uid)

    def _ask(self, queue: Key, now: float) -> _Line:
        try:
            pending = self._cluster.list_pending(queue.namespace, queue.name)
        except ClusterError:
            return _Line({}, now + _SILENT_SECONDS)
        return _Line(_read_places(pending), now + _FRESH_SECONDS)


def _read_places(pending: list[Document]) -> dict[str, int]:
    return {
        owner["uid"]: item.get("positionInLocalQueue", 0) + 1
        for item in pending
        for owner in item["metadata"].get("ownerReferences") or ()
    }
