"""The objects of an operator that acts, each made once and given what it needs."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from tweetbot_api.messages import HandlesMessage
from tweetbot_operator.admission import Admission
from tweetbot_operator.bot_batches.observer import BatchObserver
from tweetbot_operator.bot_batches.reconciler import BatchReconciler
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.cluster import Cluster
from tweetbot_operator.dispatcher import Dispatcher
from tweetbot_operator.feed import Feed
from tweetbot_operator.inbox import Inbox
from tweetbot_operator.listing import Listing
from tweetbot_operator.loop_call import call_soon
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.observer import Observer
from tweetbot_operator.policies.batching import Group
from tweetbot_operator.progress_server import ProgressServer
from tweetbot_operator.reconciler import Reconciler
from tweetbot_operator.settings import OperatorSettings
from tweetbot_operator.store import Store
from tweetbot_operator.tls import Certificate
from tweetbot_operator.tokens import TokenReviewer
from tweetbot_operator.waiting import Item, SharedJob, Waiting
from tweetbot_operator.workqueue import WorkQueue

ASSIGNING_THREADS = 8
BATCH_WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What works, what is worked on, and what hears of the world."""

    queue: WorkQueue[Item]
    batch_queue: WorkQueue[Key]
    reconciler: Reconciler
    dispatcher: Dispatcher
    batch_reconciler: BatchReconciler
    feed: Feed
    listing: Listing
    progress: ProgressServer

    async def work(self, item: Item) -> float | None:
        """Work on a bot, on those who wait for one another, or on a Job that is missing."""
        if isinstance(item, Group):
            return await asyncio.to_thread(self.dispatcher.dispatch, item)
        if isinstance(item, SharedJob):
            return await asyncio.to_thread(self.dispatcher.make_job, item)
        return await asyncio.to_thread(self.reconciler.reconcile, item)

    async def work_on_batch(self, key: Key) -> float | None:
        """Work on a TweetBotBatch."""
        return await asyncio.to_thread(self.batch_reconciler.reconcile, key)


def build_parts(
    settings: OperatorSettings,
    certificate: Certificate,
    cluster: Cluster,
    metrics: Metrics,
    loop: asyncio.AbstractEventLoop,
    clock: Callable[[], datetime],
) -> Parts:
    """Make all of them. Their methods may be called in threads; what they ask for is asked for in the loop."""
    store, roster, inbox = Store(), Roster(), Inbox()
    queue: WorkQueue[Item] = WorkQueue(time.monotonic)
    batch_queue: WorkQueue[Key] = WorkQueue(time.monotonic)

    def measure_job_waits() -> dict[str, float]:
        return {kind: (clock() - made).total_seconds() for kind, made in store.oldest_without_node().items()}

    metrics.watch(store.count_phases, lambda: len(queue), lambda: len(batch_queue), measure_job_waits)
    waiting = Waiting(lambda item, seconds: call_soon(loop, queue.add_after, item, seconds))
    reconciler = Reconciler(
        cluster=cluster,
        store=store,
        inbox=inbox,
        observer=Observer(
            cluster=cluster,
            store=store,
            inbox=inbox,
            operator_ca=lambda: certificate.authority,
            clock=clock,
            uptime=time.monotonic,
        ),
        waiting=waiting,
        settings=settings,
        metrics=metrics,
        clock=clock,
        uptime=time.monotonic,
    )
    dispatcher = Dispatcher(
        cluster=cluster,
        store=store,
        waiting=waiting,
        reconciler=reconciler,
        settings=settings,
        operator_ca=lambda: certificate.authority,
        ask_for=lambda key: call_soon(loop, queue.add, key),
        metrics=metrics,
        clock=clock,
        uptime=time.monotonic,
        map_all=ThreadPoolExecutor(ASSIGNING_THREADS, thread_name_prefix="assign").map,
    )
    batch_reconciler = BatchReconciler(
        cluster=cluster,
        roster=roster,
        observer=BatchObserver(
            cluster=cluster,
            store=store,
            roster=roster,
            operator_ca=lambda: certificate.authority,
            clock=clock,
            uptime=time.monotonic,
        ),
        settings=settings,
        metrics=metrics,
        clock=clock,
    )

    def keep_handles(message: HandlesMessage) -> None:
        batch_reconciler.keep_handles(message)
        call_soon(loop, batch_queue.add, Key.of(message.batch))

    feed = Feed(store, queue, roster, batch_queue, metrics, time.monotonic)
    return Parts(
        queue=queue,
        batch_queue=batch_queue,
        reconciler=reconciler,
        dispatcher=dispatcher,
        batch_reconciler=batch_reconciler,
        feed=feed,
        listing=Listing(cluster, feed, settings.namespaces),
        progress=ProgressServer(
            reviewer=TokenReviewer(cluster, time.monotonic),
            admission=Admission(cluster, store, feed.note_bot, time.monotonic),
            inbox=inbox,
            ask_for=queue.add,
            keep_handles=keep_handles,
            metrics=metrics,
            clock=clock,
        ),
    )
