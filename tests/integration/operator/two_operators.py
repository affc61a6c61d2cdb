"""Two operators, both of which act, in one small Kubernetes, as a state that can be taken down and put up again.

So every order of what may happen can be tried from one state without living through its past again.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from tests.integration.operator import kubernetes_model
from tests.integration.operator.model_cluster import ModelCluster, read_version
from tests.integration.operator.replica import Replica
from tests.unit.operator.factories import NOW, make_settings, make_tweetbot_document
from tests.unit.operator.fake_cluster import Document
from tests.unit.operator.kstatus import assert_obeys_kstatus
from tweetbot_api.names import LABEL_RUN_PREFIX, run_label
from tweetbot_api.types import TweetBot
from tweetbot_operator.life_cycle import is_allowed
from tweetbot_operator.observed import Key

State = tuple[Any, ...]
Bots = dict[str, TweetBot]
_ROUNDS_TO_SETTLE, _ROUNDS_TO_END = 4, 40


class TwoOperators:
    """The world that the schedules of one kind happen to."""

    names: ClassVar[tuple[str, ...]] = ("ann",)
    spec: ClassVar[dict[str, Any]] = {}
    max_bots: ClassVar[int] = 1

    def __init__(self) -> None:
        self.cluster = ModelCluster()
        self.now = NOW
        self.settings = make_settings(batching={"maxBots": self.max_bots})
        self.spent: dict[str, int] = {}
        """How often each misfortune has happened."""
        self._read: dict[int, TweetBot] = {}
        for name in self.names:
            self.cluster.put(make_tweetbot_document(name, **self.spec))
        parts = self.cluster, self.settings, lambda: self.now, lambda: (self.now - NOW).total_seconds()
        self.replicas = [Replica(*parts), Replica(*parts)]
        self.pass_on()

    # What may happen

    def do(self, action: Callable[[Any], object]) -> None:
        action(self)
        self.pass_on()

    def pass_on(self) -> None:
        """Let both operators' watches carry what happened."""
        events, self.cluster.events = self.cluster.events, []
        for replica in self.replicas:
            replica.tell(events)

    def work(self, number: int) -> None:
        """Let an operator look at every bot once, and do what that asks for."""
        replica = self.replicas[number]
        for name in self.names:
            replica.look_at(Key("default", name))

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def edit(self, name: str = "ann", **spec: Any) -> None:
        bot = self.cluster.objects.get(("TweetBot", Key("default", name)))
        if bot is not None and {**bot["spec"], **spec} != bot["spec"]:
            metadata = {**bot["metadata"], "generation": bot["metadata"]["generation"] + 1}
            self.cluster.put({**bot, "metadata": metadata, "spec": {**bot["spec"], **spec}})

    def run_jobs(self) -> None:
        kubernetes_model.run_jobs(self.cluster, self.now)

    def end_pods(self, *result: Any, **how: Any) -> None:
        kubernetes_model.end_pods(self.cluster, self.now, *result, **how)

    def collect_garbage(self) -> None:
        kubernetes_model.collect_garbage(self.cluster)

    def help_on(self) -> None:
        """Let the user and the queue do what the bots cannot go on without."""
        for name in self.names:
            self.edit(name, suspend=False)

    def end_well(self) -> None:
        """Let both operators and everything else go on, fairly, until every run has ended and all is quiet."""
        for _ in range(_ROUNDS_TO_SETTLE):
            self.settle()
            self.do(TwoOperators.collect_garbage)
        self.check_settled()
        for _ in range(_ROUNDS_TO_END):
            self.settle()
            if self.is_over:
                break
            self.wait(31)
            for happens in (self.run_jobs, self.end_pods, self.collect_garbage, self.help_on):
                self.do(lambda _, happens=happens: happens())
        else:
            raise AssertionError(f"it does not end: {self.bots}")
        self.do(TwoOperators.collect_garbage)
        self.cluster.writes.clear()
        self.settle()
        assert not self.cluster.writes, self.cluster.writes
        assert not self.live_pods, "a pod is left that nobody needs"

    def settle(self) -> None:
        for number, replica in enumerate(self.replicas):
            replica.hear()
            self.do(lambda _, number=number: self.work(number))

    # What is seen from outside

    @property
    def bots(self) -> Bots:
        return {document["metadata"]["name"]: self._read_bot(document) for document in self.cluster.all("TweetBot")}

    def _read_bot(self, document: Document) -> TweetBot:
        version = read_version(document)
        if version not in self._read:
            self._read[version] = TweetBot.model_validate(document)
        return self._read[version]

    @property
    def live_pods(self) -> list[Document]:
        return [pod for pod in self.cluster.all("Pod") if kubernetes_model.is_live(pod)]

    @property
    def jobs_created(self) -> list[Document]:
        """The Jobs that the last step has made."""
        names = [write.split()[-1] for write in self.cluster.writes if write.startswith("create Job")]
        return [job for job in self.cluster.all("Job") if job["metadata"]["name"] in names]

    @property
    def is_over(self) -> bool:
        return all(_has_ended(bot) for bot in self.bots.values())

    def describe_end(self) -> object:
        """Return what is to be the same at the end of every schedule."""
        outputs = {name: bot.status.outputs for name, bot in self.bots.items()}
        return tuple((name, bot.status.phase, outputs[name] is not None) for name, bot in self.bots.items())

    def check(self, before: Bots) -> None:
        """Fail unless one step from these bots to what is there now was right."""
        self._check_pods()
        for turn in self.cluster.turns:
            assert is_allowed(*turn), f"the phase changes from {turn[0]} to {turn[1]}"
        for name, bot in self.bots.items():
            if bot.status.run is not None and bot.status.observed_generation == bot.metadata.generation:
                assert_obeys_kstatus(bot.status, bot.metadata.generation)
            if name in before and _has_ended(before[name]) and bot.metadata.deletion_timestamp is None:
                self._check_ended(before[name], bot)

    def check_settled(self) -> None:
        """Fail unless all that is left at work is of use, once both operators have caught up with what happened."""
        bots = Counter(bot for pod in self.live_pods for bot in pod["metadata"]["annotations"]["bots"].split())
        assert max(bots.values(), default=0) <= 1, f"several pods of one bot go on: {bots}"

    def _check_ended(self, before: TweetBot, bot: TweetBot) -> None:
        assert bot.status.run == before.status.run, "a run that has ended is changed"
        assert bot.status.phase == before.status.phase, "a run that has ended ends once more"
        for document in self.jobs_created:
            assert run_label(before.run_id) not in document["metadata"]["labels"], "a run that has ended gets a Job"

    def _check_pods(self) -> None:
        labels = (label for pod in self.live_pods for label in pod["metadata"]["labels"])
        live = Counter(label for label in labels if label.startswith(LABEL_RUN_PREFIX))
        assert max(live.values(), default=0) <= 1, f"several pods of one run live: {live}"

    # As a state

    def take_down(self) -> State:
        cluster = self.cluster
        parts = (dict(cluster.objects), dict(cluster.births), self.now, dict(self.spent))
        return (*parts, [replica.take_down() for replica in self.replicas])

    def put_up(self, state: State) -> None:
        objects, births, now, spent, replicas = state
        self.cluster.objects, self.cluster.births = dict(objects), dict(births)
        self.now, self.spent = now, dict(spent)
        for replica, memory in zip(self.replicas, replicas, strict=True):
            replica.put_up(memory)

    def fingerprint(self) -> str:
        """Return what tells this state from others: all but resource versions."""
        objects = sorted(self.cluster.contents[read_version(item)] for item in self.cluster.objects.values())
        whole = [objects, str(self.now), sorted(self.spent.items()), [item.describe() for item in self.replicas]]
        return hashlib.sha256(repr(whole).encode()).hexdigest()


def _has_ended(bot: TweetBot) -> bool:
    """Tell whether the run that the spec asks for has ended."""
    run = bot.status.run
    return run is not None and run.id == bot.run_id and run.completion_time is not None
