"""An operator with a memory of its own, which can be taken down and put up again."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.integration.operator.model_cluster import Connection, ModelCluster
from tests.unit.operator.fake_cluster import CrashError, Document
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.dispatcher import Dispatcher
from tweetbot_operator.feed import Feed
from tweetbot_operator.inbox import Inbox
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.observer import Observer
from tweetbot_operator.policies.batching import Group
from tweetbot_operator.reconciler import Reconciler
from tweetbot_operator.settings import OperatorSettings
from tweetbot_operator.store import Store
from tweetbot_operator.waiting import SharedJob, Waiting
from tweetbot_operator.workqueue import TryAgainError, WorkQueue

KINDS = ("TweetBot", "Job", "Pod")
Event = tuple[str, str, Document]
State = tuple[Any, ...]


class Replica:
    """What the parts of an operator do when they are asked to; who asks, and when, is up to the schedule."""

    def __init__(
        self,
        cluster: ModelCluster,
        settings: OperatorSettings,
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
    ) -> None:
        self._cluster, self._settings, self._clock, self._uptime = cluster, settings, clock, uptime
        self._metrics = Metrics("test")
        self.restart()

    def restart(self) -> None:
        """Begin with an empty memory: all lists are read before anything is decided."""
        self.connection = Connection(self._cluster)
        self.store, inbox = Store(), Inbox()
        self.missing_jobs: dict[SharedJob, None] = {}
        self.waiting = Waiting(self._note)
        parts: dict[str, Any] = {
            "cluster": self.connection, "store": self.store, "clock": self._clock, "uptime": self._uptime
        }  # fmt: skip
        observer = Observer(**parts, inbox=inbox, operator_ca=lambda: "CA")
        parts |= {"waiting": self.waiting, "settings": self._settings, "metrics": self._metrics}
        self.reconciler = Reconciler(**parts, inbox=inbox, observer=observer)
        self.dispatcher = Dispatcher(
            **parts, reconciler=self.reconciler, operator_ca=lambda: "CA", ask_for=lambda key: None
        )
        self._feed = Feed(
            self.store, WorkQueue(self._uptime), Roster(), WorkQueue(self._uptime), self._metrics, self._uptime
        )
        self._untold: list[Event] = []
        self.tell([(kind, "ADDED", item) for kind in KINDS for item in self._cluster.all(kind)])
        self.hear()

    def tell(self, events: list[Event]) -> None:
        """Let the watches carry events; of several changes of an object only the last makes a difference."""
        for kind, change, document in events:
            name = document["metadata"]["name"]
            self._untold = [
                item
                for item in self._untold
                if item[:2] == (kind, "DELETED") or (item[0], item[2]["metadata"]["name"]) != (kind, name)
            ]
            self._untold.append((kind, change, document))

    def hear(self, *kinds: str) -> None:
        """Take note of what the watches carry, of these kinds or of all."""
        untold, self._untold = self._untold, []
        for kind, change, document in untold:
            if kinds and kind not in kinds:
                self._untold.append((kind, change, document))
            elif kind in KINDS:
                self._feed.see(kind, {"type": change, "object": document})

    def look_at(self, bot: Key) -> None:
        self._try(lambda: self.reconciler.reconcile(bot))

    def dispatch(self) -> None:
        """Give those who wait to Jobs."""
        for group in list(self.waiting._groups):
            self._try(lambda group=group: self.dispatcher.dispatch(group))

    def make_missing_jobs(self) -> None:
        missing, self.missing_jobs = self.missing_jobs, {}
        for job in missing:
            self._try(lambda job=job: self.dispatcher.make_job(job))

    def take_down(self) -> State:
        store, waiting = self.store, self.waiting
        return (
            [(dict(item._entries), _copy(item._groups)) for item in (store.jobs, store.pods)],
            (dict(store._bots), _copy(store._bots_of_job), dict(store._phases), dict(store._deleted_jobs)),
            ({group: dict(bots) for group, bots in waiting._groups.items()}, dict(waiting._group_of)),
            dict(self.missing_jobs),
            list(self._untold),
        )

    def put_up(self, state: State) -> None:
        facts, (bots, bots_of_job, phases, deleted_jobs), (groups, group_of), missing_jobs, untold = state
        store, waiting = self.store, self.waiting
        for item, (entries, members) in zip((store.jobs, store.pods), facts, strict=True):
            item._entries = dict(entries)
            _refill(item._groups, _copy(members))
        store._bots, store._deleted_jobs = dict(bots), dict(deleted_jobs)
        _refill(store._bots_of_job, _copy(bots_of_job))
        _refill(store._phases, phases)
        _refill(waiting._groups, {group: dict(bots) for group, bots in groups.items()})
        waiting._group_of = dict(group_of)
        self.missing_jobs, self._untold = dict(missing_jobs), list(untold)
        self.connection.meanwhile = None

    def describe(self) -> list[object]:
        """Return what of the memory can make a difference: contents, and whether they are the newest."""
        contents = self._cluster.contents
        newest = {int(item["metadata"]["resourceVersion"]) for item in self._cluster.objects.values()}
        versions = [bot.version for bot in self.store._bots.values()]
        versions += [entry.version for item in (self.store.jobs, self.store.pods) for entry in item._entries.values()]
        untold = [
            (kind, change, contents[int(item["metadata"]["resourceVersion"])]) for kind, change, item in self._untold
        ]
        waiting = sorted(repr(item) for bots in self.waiting._groups.values() for item in bots.values())
        known = sorted((contents[version], version in newest) for version in versions)
        return [known, untold, sorted(self.store._deleted_jobs), waiting, sorted(job.key for job in self.missing_jobs)]

    def _note(self, item: Group | SharedJob, seconds: float) -> None:
        if isinstance(item, SharedJob):
            self.missing_jobs[item] = None

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except TryAgainError:
            return
        except CrashError:
            self._cluster.crash_at = None
            self.restart()


def _copy(groups: dict[Any, set[Any]]) -> dict[Any, set[Any]]:
    return {key: set(group) for key, group in groups.items()}


def _refill(target: dict[Any, Any], source: dict[Any, Any]) -> None:
    target.clear()
    target.update(source)
