"""A world with several bots, and the operator's own queue: whatever is due is worked on, and time passes."""

from typing import Any

from tests.unit.operator.factories import NOW, make_outcome, make_settings, make_tweetbot_document
from tests.unit.operator.fake_cluster import CrashError, Document, FakeCluster
from tests.unit.operator.kstatus import assert_obeys_kstatus
from tests.unit.operator.world import World
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import CONTAINER
from tweetbot_api.status import TweetBotStatus
from tweetbot_api.termination import encode_termination
from tweetbot_api.types import TweetBot
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.dispatcher import Dispatcher
from tweetbot_operator.feed import Feed
from tweetbot_operator.inbox import Inbox
from tweetbot_operator.life_cycle import is_allowed
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.observer import Observer
from tweetbot_operator.policies.batching import Group
from tweetbot_operator.reconciler import Reconciler
from tweetbot_operator.store import Store
from tweetbot_operator.waiting import Item, SharedJob, Waiting
from tweetbot_operator.workqueue import TryAgainError, WorkQueue


class Company(World):
    def __init__(self, *names: str, max_bots: int = 8, **batching: Any) -> None:
        self.cluster = FakeCluster()
        self.now = NOW
        self.settings = make_settings(batching={"maxBots": max_bots, **batching})
        self.phases: dict[str, str | None] = {}
        for name in names:
            self.add(name)
        self.restart()

    def add(self, name: str, **spec: Any) -> None:
        """Apply a bot."""
        self.cluster.put(make_tweetbot_document(name, **spec))

    def restart(self) -> None:
        self.cluster.crash_at = None
        self.store, self.inbox, self.metrics = Store(), Inbox(), Metrics("test")
        self.queue: WorkQueue[Item] = WorkQueue(self.uptime)
        self.waiting = Waiting(self.queue.add_after)
        parts = {"cluster": self.cluster, "store": self.store, "uptime": self.uptime, "clock": lambda: self.now}
        observer = Observer(**parts, inbox=self.inbox, operator_ca=lambda: "CA")
        shared = {**parts, "settings": self.settings, "metrics": self.metrics, "waiting": self.waiting}
        self.reconciler = Reconciler(**shared, inbox=self.inbox, observer=observer)
        self.dispatcher = Dispatcher(
            **shared, reconciler=self.reconciler, operator_ca=lambda: "CA", ask_for=self.queue.add
        )
        self.feed = Feed(self.store, self.queue, Roster(), WorkQueue(self.uptime), self.metrics, self.uptime)
        kinds = ("TweetBot", "Pod", "Job")
        self.cluster.events = [(kind, "ADDED", document) for kind in kinds for document in self.cluster.all(kind)]

    def live(self, seconds: int = 40) -> None:
        """Let time pass, with the operator at work."""
        for _ in range(seconds):
            self.work()
            self.wait(1)

    def work(self) -> None:
        """Work on whatever is due."""
        self.deliver()
        while (item := self.queue.take()) is not None:
            self._work(item)
            self.deliver()

    def _work(self, item: Item) -> None:
        queue = self.queue
        try:
            if isinstance(item, Group):
                queue.done(item, self.dispatcher.dispatch(item))
            elif isinstance(item, SharedJob):
                queue.done(item, self.dispatcher.make_job(item))
            else:
                queue.done(item, self.reconciler.reconcile(item))
        except TryAgainError:
            queue.fail(item)
        except CrashError:
            self.restart()
        self._check_statuses()

    def _check_statuses(self) -> None:
        for document in self.cluster.all("TweetBot"):
            name, status = document["metadata"]["name"], TweetBotStatus.model_validate(document["status"])
            before = self.phases.get(name)
            assert is_allowed(before, status.phase), (name, before, status.phase)
            self.phases[name] = status.phase
            if status.phase:
                assert_obeys_kstatus(status, status.observed_generation)

    def end_jobs(self, exit_code: int = 0, **outcomes: BotOutcome) -> None:
        """End each pod that runs and its Job: well, but for the bots that are named."""
        for pod in self.live_pods:
            job = self.job_of(pod)
            kind = pod["metadata"]["labels"]["tweetbot.dev/job-kind"]
            told = [outcomes.get(name, make_outcome(kind)) for name in self.bots_of(job)]
            container = {"terminated": {"exitCode": exit_code, "message": encode_termination(told)}}
            pod["status"]["containerStatuses"] = [{"name": CONTAINER, "state": container}]
            pod["status"]["phase"] = "Failed" if exit_code else "Succeeded"
            self.cluster.put(pod)
            job["status"] = {"conditions": [{"type": "Failed" if exit_code else "Complete", "status": "True"}]}
            self.cluster.put(job)

    def run_on(self, rounds: int = 8) -> None:
        """Let every Job succeed, until nothing more is asked for."""
        for _ in range(rounds):
            self.live()
            self.start_pods()
            self.live(3)
            self.end_jobs()
            self.live(3)

    def bot_named(self, name: str) -> TweetBot:
        return TweetBot.model_validate(self.cluster.get("TweetBot", Key("default", name)))

    def edit_bot(self, name: str, **spec: Any) -> None:
        bot = self.cluster.get("TweetBot", Key("default", name))
        bot["spec"] = {**bot["spec"], **spec}
        bot["metadata"]["generation"] += 1
        self.cluster.put(bot)

    def job_of(self, pod: Document) -> Document:
        return self.cluster.get("Job", Key("default", pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]))

    def bots_of(self, job: Document) -> list[str]:
        return [owner["name"] for owner in job["metadata"]["ownerReferences"]]

    @property
    def jobs(self) -> list[tuple[str, list[str]]]:
        """The Jobs that are there: kind and bots of each."""
        jobs = self.cluster.all("Job")
        return [(job["metadata"]["labels"]["tweetbot.dev/job-kind"], self.bots_of(job)) for job in jobs]

    @property
    def statuses(self) -> dict[str, str | None]:
        return {item["metadata"]["name"]: item["status"].get("phase") for item in self.cluster.all("TweetBot")}
