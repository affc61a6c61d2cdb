"""The part of the operator that follows TweetBotBatches, its cluster, and bots that come to their ends."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, cast

from tests.unit.operator.factories import NOW, make_settings
from tests.unit.operator.fake_cluster import CrashError, Document, FakeCluster
from tweetbot_api.bot_batch import TweetBotBatch
from tweetbot_operator.bot_batches.observer import BatchObserver
from tweetbot_operator.bot_batches.reconciler import BatchReconciler
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.cluster import Cluster
from tweetbot_operator.feed import Feed
from tweetbot_operator.listing import Listing
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.store import Store
from tweetbot_operator.workqueue import TryAgainError, WorkQueue

BATCH = Key("default", "team")
LIST = Key("default", "list")


class BatchWorld:
    def __init__(self, *, text: str | None = None, **spec: Any) -> None:
        self.cluster = FakeCluster()
        self.now: datetime = NOW
        self.settings = make_settings()
        if text is not None:
            self.write_list(text)
            spec = {"handlesFrom": {"configMap": {"name": LIST.name}}, **spec}
        self.cluster.put(make_batch_document(**spec))
        self.restart()

    # The operator

    def restart(self) -> None:
        """Kill the operator and start another, which lists what is there before it decides anything."""
        self.cluster.crash_at = None
        self.store, self.roster, self.metrics = Store(), Roster(), Metrics("test")
        self.reconciler = BatchReconciler(
            cluster=self.cluster,
            roster=self.roster,
            observer=BatchObserver(
                cluster=self.cluster,
                store=self.store,
                roster=self.roster,
                operator_ca=lambda: "CA",
                clock=lambda: self.now,
                uptime=self.uptime,
            ),
            settings=self.settings,
            metrics=self.metrics,
            clock=lambda: self.now,
        )
        self.queue: WorkQueue[Key] = WorkQueue(self.uptime)
        self.feed = Feed(self.store, WorkQueue(self.uptime), self.roster, self.queue, self.metrics, self.uptime)
        self.cluster.events = []
        asyncio.run(Listing(cast("Cluster", self.cluster), self.feed, []).sync())

    def uptime(self) -> float:
        return (self.now - NOW).total_seconds()

    def deliver(self, *kinds: str) -> None:
        """Let the watches tell what happened, of these kinds or of all."""
        see = {
            "TweetBot": self.feed.see_bot,
            "TweetBotBatch": self.feed.see_bot_batch,
            "Job": self.feed.see_job,
            "Pod": self.feed.see_pod,
        }
        waiting, self.cluster.events = self.cluster.events, []
        for kind, change, document in waiting:
            if kinds and kind not in kinds:
                self.cluster.events.append((kind, change, document))
            elif kind in see:
                see[kind]({"type": change, "object": document})

    def reconcile(self) -> float | None:
        """Look once at the batch; a crash restarts the operator, a conflict lets the watches catch up."""
        try:
            return self.reconciler.reconcile(BATCH)
        except TryAgainError:
            self.deliver()
            return 0.0
        except CrashError:
            self.restart()
            return 0.0

    def settle(self) -> None:
        """Let the operator do all that it wants to do until nothing is left but to wait for bots."""
        quiet = 0
        for _ in range(300):
            writes = len(self.cluster.writes)
            self.deliver()
            self.reconcile()
            quiet = quiet + 1 if len(self.cluster.writes) == writes and not self.cluster.events else 0
            if quiet == 2:
                return
            self.wait(11 if quiet else 1)
        raise AssertionError(f"the operator does not come to rest: {self.cluster.writes[-10:]}")

    # What is seen from outside

    @property
    def batch(self) -> TweetBotBatch:
        return TweetBotBatch.model_validate(self.cluster.get("TweetBotBatch", BATCH))

    @property
    def bots(self) -> dict[str, Document]:
        return {bot["metadata"]["name"]: bot for bot in self.cluster.all("TweetBot")}

    @property
    def at_work(self) -> list[str]:
        return [name for name, bot in self.bots.items() if not has_ended(bot)]

    @property
    def runs(self) -> list[str]:
        """Every run that was ever asked for, by its bot's name."""
        kinds = ("create TweetBot ", "retry ")
        return [write.split()[-1] for write in self.cluster.writes if write.startswith(kinds)]

    # The rest of Kubernetes

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def edit(self, **spec: Any) -> None:
        batch = self.cluster.get("TweetBotBatch", BATCH)
        batch["spec"] |= spec
        batch["metadata"]["generation"] += 1
        self.cluster.put(batch)

    def write_list(self, text: str) -> None:
        metadata = {"name": LIST.name, "namespace": LIST.namespace}
        self.cluster.put({"kind": "ConfigMap", "metadata": metadata, "data": {"handles": text}})

    def end(self, name: str, phase: str = "Succeeded", **status: Any) -> None:
        """Bring a bot to its end."""
        bot = self.bots[name]
        run = {"startTime": "2026-11-23T11:00:00Z", "completionTime": "2026-11-23T11:01:40Z", "gpuSeconds": 30}
        failure = {"reason": "TooLittleText", "message": "only 17 characters are left"}
        ended = {
            "observedGeneration": bot["metadata"]["generation"],
            "phase": phase,
            "run": run,
            **({"failure": failure} if phase == "Failed" else {"evaluation": {"loss": 3.25}}),
            **status,
        }
        self.cluster.put({**bot, "status": ended})

    def end_all(self, phase: str = "Succeeded") -> None:
        for name in self.at_work:
            self.end(name, phase)

    def delete_bot(self, name: str) -> None:
        self.cluster.remove("TweetBot", Key("default", name))


def has_ended(bot: Document) -> bool:
    status = bot.get("status") or {}
    is_settled = status.get("observedGeneration") == bot["metadata"].get("generation")
    return is_settled and status.get("phase") in {"Succeeded", "Failed"}


def make_batch_document(**spec: Any) -> Document:
    """Return a TweetBotBatch as the apiserver sends it; keywords are fields of its spec."""
    handles = {} if "handlesFrom" in spec else {"handles": ["ann", "ben"]}
    template = {"spec": {"source": {"archive": {"uri": "s3://tweets/{handle}.zip"}}}}
    return {
        "apiVersion": "tweetbot.dev/v1alpha1",
        "kind": "TweetBotBatch",
        "metadata": {"name": BATCH.name, "namespace": BATCH.namespace, "uid": "uid-of-team", "generation": 1},
        "spec": {"template": template, **handles, **spec},
        "status": {"observedGeneration": -1},
    }
