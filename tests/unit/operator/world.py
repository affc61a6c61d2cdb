"""An operator, the cluster that it works in, and the rest of Kubernetes: Jobs get pods, pods end, time passes."""

from datetime import datetime, timedelta
from typing import Any

from tests.unit.operator.factories import NOW, make_outcome, make_settings, make_tweetbot_document
from tests.unit.operator.fake_cluster import CrashError, Document, FakeCluster
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import CONTAINER
from tweetbot_api.termination import encode_termination
from tweetbot_api.types import TweetBot
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.feed import Feed
from tweetbot_operator.inbox import Inbox
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.observer import Observer
from tweetbot_operator.reconciler import Reconciler
from tweetbot_operator.store import Store
from tweetbot_operator.waiting import Waiting
from tweetbot_operator.workqueue import TryAgainError, WorkQueue

BOT = Key("default", "ann")


class World:
    def __init__(self, **spec: Any) -> None:
        self.cluster = FakeCluster()
        self.now: datetime = NOW
        self.settings = make_settings()
        self.names_used: list[str] = []
        self.cluster.put(make_tweetbot_document(BOT.name, **spec))
        self.restart()
        self.deliver()

    # The operator

    def restart(self) -> None:
        """Kill the operator and start another: memory is empty, and the list of TweetBots comes first."""
        self.cluster.crash_at = None
        self.store, self.inbox, self.metrics = Store(), Inbox(), Metrics("test")
        observer = Observer(
            cluster=self.cluster,
            store=self.store,
            inbox=self.inbox,
            operator_ca=lambda: "CA",
            clock=lambda: self.now,
            uptime=self.uptime,
        )
        self.reconciler = Reconciler(
            cluster=self.cluster,
            store=self.store,
            inbox=self.inbox,
            observer=observer,
            waiting=Waiting(lambda item, seconds: None),
            settings=self.settings,
            metrics=self.metrics,
            clock=lambda: self.now,
            uptime=self.uptime,
        )
        self.queue: WorkQueue[Key] = WorkQueue(self.uptime)
        self.feed = Feed(self.store, self.queue, Roster(), WorkQueue(self.uptime), self.metrics, self.uptime)
        self.cluster.events = [
            (kind, "ADDED", document)
            for kind in ("TweetBot", "Pod", "Job")
            for document in self.cluster.all(kind)
        ]  # fmt: skip
        self.deliver("TweetBot")

    def uptime(self) -> float:
        return (self.now - NOW).total_seconds()

    def deliver(self, *kinds: str) -> None:
        """Let the watches tell what happened, of these kinds or of all."""
        see = {"TweetBot": self.feed.see_bot, "Job": self.feed.see_job, "Pod": self.feed.see_pod}
        waiting, self.cluster.events = self.cluster.events, []
        for kind, change, document in waiting:
            if kinds and kind not in kinds:
                self.cluster.events.append((kind, change, document))
            elif kind in see:
                see[kind]({"type": change, "object": document})

    def reconcile(self) -> float | None:
        """Look once at the bot; a crash restarts the operator, a conflict lets the watches catch up."""
        try:
            return self.reconciler.reconcile(BOT)
        except TryAgainError:
            self.deliver()
            return 0.0
        except CrashError:
            self.restart()
            return 0.0

    def settle(self) -> None:
        """Let the operator do all that it wants to do now."""
        for _ in range(50):
            writes = len(self.cluster.writes)
            self.deliver()
            self.reconcile()
            if len(self.cluster.writes) == writes and not self.cluster.events:
                return
        raise AssertionError(f"the operator does not come to rest: {self.cluster.writes[-10:]}")

    # What is seen from outside

    @property
    def bot(self) -> TweetBot:
        return TweetBot.model_validate(self.cluster.get("TweetBot", BOT))

    @property
    def has_ended(self) -> bool:
        run = self.bot.status.run
        return run is not None and run.completion_time is not None

    @property
    def live_pods(self) -> list[Document]:
        return [pod for pod in self.cluster.all("Pod") if pod["status"]["phase"] in {"Pending", "Running"}]

    @property
    def jobs_created(self) -> list[str]:
        return [write.split()[-1] for write in self.cluster.writes if write.startswith("create Job")]

    # The rest of Kubernetes

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def edit(self, **spec: Any) -> None:
        bot = self.cluster.get("TweetBot", BOT)
        bot["spec"] = make_tweetbot_document(BOT.name, **spec)["spec"]
        bot["metadata"]["generation"] += 1
        self.cluster.put(bot)

    def start_pods(self) -> None:
        """Make a pod for each Job that has none."""
        for job in self.cluster.all("Job"):
            name = f"{job['metadata']['name']}-pod"
            if ("Pod", Key("default", name)) in self.cluster.objects or _is_finished(job):
                continue
            labels = job["metadata"]["labels"] | {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
            owner = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
            state = {"running": {"startedAt": _time(self.now)}}
            self.cluster.put(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": name,
                        "namespace": "default",
                        "labels": labels,
                        "ownerReferences": [owner],
                        "creationTimestamp": _time(self.now),
                    },
                    "status": {
                        "phase": "Running",
                        "startTime": _time(self.now),
                        "containerStatuses": [{"name": CONTAINER, "state": state}],
                    },
                }
            )

    def end_pods(self, outcome: BotOutcome | None = None, exit_code: int = 0, *, is_drained: bool = False) -> None:
        """End each pod that runs, and its Job with it; without an outcome, well and with a full result."""
        for pod in self.live_pods:
            kind = pod["metadata"]["labels"]["tweetbot.dev/job-kind"]
            told = outcome if outcome or exit_code else make_outcome(kind)
            container = pod["status"]["containerStatuses"][0]
            container["state"] = {
                "terminated": {
                    "exitCode": exit_code,
                    "startedAt": container["state"]["running"]["startedAt"],
                    "finishedAt": _time(self.now),
                    "message": encode_termination([told]) if told else "",
                }
            }
            pod["status"]["phase"] = "Failed" if exit_code else "Succeeded"
            pod["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}] if is_drained else []
            self.cluster.put(pod)
            key = Key("default", pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])
            if ("Job", key) in self.cluster.objects:
                job = self.cluster.get("Job", key)
                job["status"] = {"conditions": [{"type": "Failed" if exit_code else "Complete", "status": "True"}]}
                self.cluster.put(job)

    def delete_jobs(self) -> None:
        """Delete every Job by hand; pods stop later, as they have time to save."""
        for job in self.cluster.all("Job"):
            self.cluster.remove("Job", Key("default", job["metadata"]["name"]))

    def remove_orphans(self) -> None:
        """Let the pods of deleted Jobs be gone."""
        for pod in self.cluster.all("Pod"):
            key = Key("default", pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])
            if ("Job", key) not in self.cluster.objects:
                self.cluster.remove("Pod", Key("default", pod["metadata"]["name"]))


def _is_finished(job: Document) -> bool:
    return bool((job.get("status") or {}).get("conditions"))


def _time(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
