"""Two operators, both of which act, in one small Kubernetes, as a state that can be taken down and put up again.

So every order of what may happen can be tried from one state without living through its past again.
"""

import copy
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.unit.operator.factories import NOW, make_failure, make_settings, make_tweetbot_document
from tests.unit.operator.fake_cluster import CrashError, Document, FakeCluster
from tests.unit.operator.world import BOT, World
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.cluster import TransientError
from tweetbot_operator.feed import Feed
from tweetbot_operator.inbox import Inbox
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observer import Observer
from tweetbot_operator.reconciler import Reconciler
from tweetbot_operator.store import Store
from tweetbot_operator.waiting import Waiting
from tweetbot_operator.workqueue import TryAgainError, WorkQueue

State = tuple[Any, ...]


class ModelCluster(FakeCluster):
    """Names uids by what they are of, and may lose the reply to a write."""

    def __init__(self) -> None:
        super().__init__()
        self.births: dict[str, int] = {}
        self.loses_reply = False

    def put(self, document: Document) -> Document:
        if "uid" not in document["metadata"]:
            name = f"{document['kind']}-{document['metadata']['name']}"
            if (document["kind"], _key(document)) not in self.objects:
                self.births[name] = self.births.get(name, 0) + 1
                metadata = {**document["metadata"], "uid": f"{name}-{self.births[name]}"}
                document = {**document, "metadata": metadata}
        return super().put(document)

    def all(self, kind: str) -> list[Document]:
        return copy.deepcopy(super().all(kind))

    def remove(self, kind: str, key: Any) -> Document:
        self.objects[kind, key] = copy.deepcopy(self.objects[kind, key])
        return super().remove(kind, key)

    def _write(self, what: str, commit: Any) -> Document:
        document = super()._write(what, commit)
        if self.loses_reply:
            self.loses_reply = False
            raise TransientError("the reply is lost")
        return document


class Replica:
    """An operator with a memory of its own."""

    def __init__(self, world: "TwoOperators") -> None:
        self._world = world
        self.restart()

    def restart(self) -> None:
        world = self._world
        self.store = Store()
        inbox = Inbox()
        self.reconciler = Reconciler(
            cluster=world.cluster,
            store=self.store,
            inbox=inbox,
            observer=Observer(
                cluster=world.cluster,
                store=self.store,
                inbox=inbox,
                operator_ca=lambda: "CA",
                clock=lambda: world.now,
                uptime=world.uptime,
            ),
            waiting=Waiting(lambda item, seconds: None),
            settings=world.settings,
            metrics=world.metrics,
            clock=lambda: world.now,
            uptime=world.uptime,
        )
        self.feed = Feed(self.store, WorkQueue(world.uptime), Roster(), WorkQueue(world.uptime), world.uptime)
        self.events = [(kind, "ADDED", item) for kind in ("TweetBot", "Pod", "Job") for item in world.cluster.all(kind)]
        self.deliver("TweetBot")

    def deliver(self, *kinds: str) -> None:
        see = {"TweetBot": self.feed.see_bot, "Job": self.feed.see_job, "Pod": self.feed.see_pod}
        waiting, self.events = self.events, []
        for kind, change, document in waiting:
            if kinds and kind not in kinds:
                self.events.append((kind, change, document))
            elif kind in see:
                see[kind]({"type": change, "object": document})

    def reconcile(self) -> None:
        try:
            self.reconciler.reconcile(BOT)
        except TryAgainError:
            return
        except CrashError:
            self._world.cluster.crash_at = None
            self.restart()

    def take_down(self) -> State:
        facts = [
            (dict(item._entries), {key: set(group) for key, group in item._groups.items()}) for item in self._facts
        ]
        return facts, dict(self.store._bots), list(self.events)

    def put_up(self, state: State) -> None:
        facts, bots, events = state
        for item, (entries, groups) in zip(self._facts, facts, strict=True):
            item._entries = dict(entries)
            item._groups.clear()
            item._groups.update({key: set(group) for key, group in groups.items()})
        self.store._bots, self.events = dict(bots), list(events)

    def describe(self) -> object:
        """Return what of the memory can make a difference."""
        versions = {
            key: int(item["metadata"]["resourceVersion"]) for (_, key), item in self._world.cluster.objects.items()
        }
        bots = [(bot.body, versions.get(key) == bot.version) for key, bot in self.store._bots.items()]
        facts = [sorted(repr(entry.fact) for entry in item._entries.values()) for item in self._facts]
        return [_strip(repr(bots)), facts, [(kind, change, _canonical(item)) for kind, change, item in self.events]]

    @property
    def _facts(self) -> tuple[Any, Any]:
        return self.store.jobs, self.store.pods


class TwoOperators(World):
    """The world of the unit tests with two operators instead of one."""

    def __init__(self, **spec: Any) -> None:
        self.cluster = ModelCluster()
        self.now = NOW
        self.settings = make_settings()
        self.metrics = Metrics("test")
        self.spent: dict[str, int] = {}
        self.cluster.put(make_tweetbot_document(BOT.name, **spec))
        self.replicas = [Replica(self), Replica(self)]
        self.pass_on()

    def pass_on(self) -> None:
        """Tell both operators' watches what happened."""
        for replica in self.replicas:
            replica.events += self.cluster.events
        self.cluster.events = []

    def do(self, action: Callable[["TwoOperators"], Any]) -> None:
        action(self)
        self.pass_on()

    def take_down(self) -> State:
        cluster = self.cluster
        parts = (dict(cluster.objects), dict(cluster.births), self.now, dict(self.spent))
        return (*parts, [replica.take_down() for replica in self.replicas])

    def put_up(self, state: State) -> None:
        objects, births, now, spent, replicas = state
        self.cluster.objects, self.cluster.births = dict(objects), dict(births)
        self.cluster.crash_at, self.cluster.loses_reply, self.cluster.events = None, False, []
        self.now, self.spent = now, dict(spent)
        for replica, memory in zip(self.replicas, replicas, strict=True):
            replica.put_up(memory)

    def fingerprint(self) -> str:
        """Return what tells this state from others: all but resource versions."""
        objects = sorted(_canonical(item) for (kind, _), item in self.cluster.objects.items() if kind != "Event")
        whole = [objects, str(self.now), sorted(self.spent.items()), [item.describe() for item in self.replicas]]
        return hashlib.sha256(repr(whole).encode()).hexdigest()

    def end_well(self) -> None:
        """Let both operators and everything else go on, fairly, until the run has ended and all is quiet."""
        for _ in range(40):
            for replica in self.replicas:
                replica.deliver()
                self.do(lambda _, replica=replica: replica.reconcile())
            if self.has_ended:
                return
            self.now += timedelta(seconds=31)
            self.do(TwoOperators.start_pods)
            self.do(TwoOperators.end_pods)
            self.do(TwoOperators.remove_orphans)
        raise AssertionError(f"the run does not end: {self.bot.status}")


def once(name: str, action: Callable[[TwoOperators], Any]) -> Callable[[TwoOperators], Any]:
    """Let a misfortune happen at most once in a schedule."""

    def happen(world: TwoOperators) -> None:
        if world.spent.get(name, 0) < 1:
            world.spent[name] = 1
            action(world)

    return happen


def crash(number: int, *, commits: bool) -> Callable[[TwoOperators], None]:
    def happen(world: TwoOperators) -> None:
        world.cluster.crash_at, world.cluster.commits_before_crash = len(world.cluster.writes) + 1, commits
        world.replicas[number].reconcile()
        world.cluster.crash_at = None

    return happen


def lose_reply(world: TwoOperators) -> None:
    world.cluster.loses_reply = True
    world.replicas[0].reconcile()
    world.cluster.loses_reply = False


def delete_recorded_jobs(world: TwoOperators) -> None:
    run = world.bot.status.run
    if run and run.job_uid:
        world.delete_jobs()


ACTIONS: dict[str, Callable[[TwoOperators], Any]] = {
    "A works": lambda world: world.replicas[0].reconcile(),
    "B works": lambda world: world.replicas[1].reconcile(),
    "A hears": lambda world: world.replicas[0].deliver(),
    "B hears": lambda world: world.replicas[1].deliver(),
    "A hears of Jobs only": lambda world: world.replicas[0].deliver("Job"),
    "A dies after its write": once("crash", crash(0, commits=True)),
    "A dies before its write": once("crash", crash(0, commits=False)),
    "A's reply is lost": once("reply", lose_reply),
    "pods start": TwoOperators.start_pods,
    "pods succeed": TwoOperators.end_pods,
    "pods fail": once("fail", lambda world: world.end_pods(make_failure("StorageUnavailable"), 171)),
    "pods are drained": once("drain", lambda world: world.end_pods(make_failure("Interrupted"), 170, is_drained=True)),
    "Jobs are deleted": once("delete", delete_recorded_jobs),
    "orphans go": TwoOperators.remove_orphans,
    "suspended": once("suspend", lambda world: world.edit(suspend=True)),
    "resumed": lambda world: world.edit() if world.bot.spec.suspend else None,
    "time passes": once("time", lambda world: world.wait(11)),
}
"""What may happen at any time."""


def _key(document: Document) -> Any:
    return type(BOT)(document["metadata"]["namespace"], document["metadata"]["name"])


def _canonical(document: Document) -> str:
    metadata = {name: value for name, value in document["metadata"].items() if name != "resourceVersion"}
    return json.dumps({**document, "metadata": metadata}, sort_keys=True)


def _strip(text: str) -> str:
    head, _, tail = text.partition('"resourceVersion":"')
    return head + tail.partition('"')[2] if tail else head
