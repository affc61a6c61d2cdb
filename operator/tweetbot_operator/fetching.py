"""Asks the cluster itself for a Job, where memory may lack it or be old, and has memory keep what it finds."""

from tweetbot_operator.cluster import Cluster, GoneError
from tweetbot_operator.observed import Key, ObservedJob
from tweetbot_operator.store import Store


def fetch_job(cluster: Cluster, store: Store, key: Key, seen: float) -> ObservedJob | None:
    """Return the Job as it is now, or None if there is none; whether it was there before, only the caller can tell."""
    try:
        return store.put_job(cluster.get("Job", key), seen)
    except GoneError:
        return None
