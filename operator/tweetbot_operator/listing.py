"""Lists what is watched: all of it before anything is worked on, and the names alone now and then.

A plan that misses a pod would say so in its bot's status, and take it back a moment later. So nothing is decided before
all lists are read, as by client-go's WaitForCacheSync. And a deletion can be missed: between these lists and kopf's
own, and whenever a watch falls behind and begins anew.
"""

import asyncio
import logging
from collections.abc import Sequence

from tweetbot_operator.cluster import Cluster, ClusterError
from tweetbot_operator.feed import Feed

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 600.0
_FIRST_SWEEP_SECONDS = 60.0
_PAUSE_SECONDS = 2.0


class Listing:
    """Compares what the feed knows with what the cluster has."""

    def __init__(self, cluster: Cluster, feed: Feed, namespaces: Sequence[str]) -> None:
        """Look at these namespaces, or at all if there are none."""
        self._cluster = cluster
        self._feed = feed
        self._namespaces: Sequence[str | None] = namespaces or (None,)

    async def sync(self) -> None:
        """Tell the feed of all there is; return when that has succeeded. Nobody else may use the feed meanwhile."""
        while True:
            try:
                return await asyncio.to_thread(self._read_all)
            except ClusterError as error:
                logger.warning("the first lists failed and are read again reason=%s", error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def sweep_forever(self) -> None:
        """Now and then, let the feed forget what has vanished."""
        await asyncio.sleep(_FIRST_SWEEP_SECONDS)
        while True:
            await self.sweep()
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Let the feed forget what has vanished unseen."""
        try:
            for kind, label in self._feed.kinds:
                # What is known first: an object that is made meanwhile is not missed.
                before = self._feed.known(kind)
                present = await asyncio.to_thread(self._read_uids, kind, label)
                now = self._feed.known(kind)
                for uid in (before.keys() & now.keys()) - present:
                    logger.info("a deletion was missed kind=%s namespace=%s name=%s", kind, *now[uid])
                    self._feed.forget(kind, now[uid])
        except ClusterError as error:
            logger.warning("what has vanished is looked for later reason=%s", error)

    def _read_all(self) -> None:
        for kind, label in self._feed.kinds:
            for namespace in self._namespaces:
                for document in self._cluster.iterate(kind, namespace, label):
                    self._feed.see(kind, {"type": None, "object": document})

    def _read_uids(self, kind: str, label: str) -> set[str]:
        return {uid for namespace in self._namespaces for uid in self._cluster.iterate_uids(kind, namespace, label)}
