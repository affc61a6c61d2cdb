"""What the watches tell is passed on to the bots that it concerns, once."""

from typing import Any

import pytest

from tests.unit.operator.test_metrics import read
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.feed import Feed
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.store import Store
from tweetbot_operator.waiting import Item
from tweetbot_operator.workqueue import WorkQueue

BOTS = [Key("bots", "ann"), Key("bots", "ben")]
LABELS = {"batch.kubernetes.io/job-name": "both-prepare", "tweetbot.dev/job-kind": "prepare"}


class Watched:
    def __init__(self) -> None:
        self.queue: WorkQueue[Item] = WorkQueue(lambda: 0.0)
        self.store = Store()
        self.metrics = Metrics("test")
        self.feed = Feed(self.store, self.queue, Roster(), WorkQueue(lambda: 0.0), self.metrics, lambda: 0.0)
        self._version = 0

    def bot(self, event: str | None, version: int) -> list[Item]:
        document = self._make("ann", {"resourceVersion": str(version)}, {})
        self.feed.see_bot({"type": event, "object": document})
        return self._taken()

    def job(self, event: str | None, **status: Any) -> list[Item]:
        owners = [{"kind": "TweetBot", "name": bot.name, "uid": f"uid-of-{bot.name}"} for bot in BOTS]
        document = self._make("both-prepare", {"ownerReferences": owners}, status)
        self.feed.see_job({"type": event, "object": document})
        return self._taken()

    def pod(self, event: str | None, **status: Any) -> list[Item]:
        document = self._make("both-prepare-x", {"labels": LABELS}, status)
        self.feed.see_pod({"type": event, "object": document})
        return self._taken()

    def forget(self, kind: str, key: Key) -> list[Item]:
        self.feed.forget(kind, key)
        return self._taken()

    def _make(self, name: str, metadata: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        common = {
            "namespace": "bots",
            "name": name,
            "uid": f"uid-of-{name}",
            "creationTimestamp": "2026-11-23T12:00:00Z",
            "resourceVersion": str(self._version),
        }
        return {"metadata": {**common, **metadata}, "spec": {}, "status": status}

    def _taken(self) -> list[Item]:
        taken = []
        while (item := self.queue.take()) is not None:
            taken.append(item)
            self.queue.done(item, None)
        return taken


@pytest.mark.parametrize("event", ["ADDED", None], ids=["new", "listed"])
def test_a_job_that_appears_concerns_all_bots_of_its_batch(event: str | None) -> None:
    watched = Watched()
    assert watched.job(event) == BOTS


def test_a_list_that_is_read_again_concerns_bots_by_what_a_broken_watch_has_missed() -> None:
    watched = Watched()
    watched.bot(None, version=1)
    watched.job(None)
    watched.pod(None, phase="Pending")
    assert watched.bot(None, version=1) == []
    assert watched.job(None) == []
    assert watched.pod(None, phase="Pending") == []
    assert watched.bot(None, version=2) == BOTS[:1]
    assert watched.job(None, conditions=[{"type": "Complete", "status": "True"}]) == BOTS
    assert watched.pod(None, phase="Running") == BOTS


@pytest.mark.parametrize("kind", ["TweetBot", "Job", "Pod"])
def test_what_has_gone_without_a_word_concerns_the_same_bots_as_if_it_had_been_told(kind: str) -> None:
    watched = Watched()
    watched.bot("ADDED", version=1)
    watched.job("ADDED")
    watched.pod("ADDED", phase="Running")
    ((uid, key),) = watched.feed.known(kind).items()
    assert watched.forget(kind, key) == (BOTS[:1] if kind == "TweetBot" else BOTS)
    assert watched.feed.known(kind) == {}
    assert uid.startswith("uid-of-")


def test_a_change_that_no_plan_rests_on_concerns_nobody() -> None:
    watched = Watched()
    watched.job("ADDED")
    assert watched.job("MODIFIED", ready=1, terminating=0) == []
    assert watched.job("MODIFIED", conditions=[{"type": "Complete", "status": "True"}]) == BOTS
    watched.pod("ADDED", phase="Pending")
    assert watched.pod("MODIFIED", phase="Pending", podIP="10.0.0.1") == []
    assert watched.pod("MODIFIED", phase="Running") == BOTS
    assert watched.pod("DELETED", phase="Running") == BOTS


def test_bots_are_asked_for_though_the_operator_itself_knew_the_change_first() -> None:
    watched = Watched()
    watched.job("ADDED")
    done = [{"type": "Complete", "status": "True"}]
    document = watched._make("both-prepare", {}, {"conditions": done})
    watched.store.put_job(document, 0.0)
    assert watched.job("MODIFIED", conditions=done) == BOTS


def test_a_pod_that_is_known_before_its_job_is_told_of_when_that_is_known() -> None:
    watched = Watched()
    assert watched.pod("ADDED", phase="Pending") == []
    watched.job("ADDED")
    assert watched.pod("MODIFIED", phase="Pending") == BOTS


WAITS = 'tweetbot_pod_wait_seconds_%s{kind="prepare"}'
STARTED = {"startTime": "2026-11-23T12:00:40Z"}


@pytest.mark.parametrize("is_seen_waiting", [True, False], ids=["seen waiting", "started at once"])
def test_the_time_for_which_a_pod_waited_for_its_node_is_measured_once(is_seen_waiting: bool) -> None:
    watched = Watched()
    if is_seen_waiting:
        watched.pod("ADDED", phase="Pending")
    watched.pod("MODIFIED", phase="Pending", **STARTED)
    watched.pod("MODIFIED", phase="Running", **STARTED)
    watched.pod("DELETED", phase="Running", **STARTED)

    assert read(watched.metrics, WAITS % "count") == 1
    assert read(watched.metrics, WAITS % "sum") == 40


def test_a_pod_that_had_its_node_before_this_operator_began_is_not_measured_again() -> None:
    watched = Watched()
    watched.pod(None, phase="Running", **STARTED)
    watched.pod("MODIFIED", phase="Succeeded", **STARTED)

    assert "tweetbot_pod_wait_seconds_count{" not in watched.metrics.render().decode()


def test_what_somebody_writes_on_a_pod_of_their_own_is_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LABELS, "tweetbot.dev/job-kind", "mine")
    watched = Watched()
    watched.pod("MODIFIED", phase="Running", **STARTED)

    assert "mine" not in watched.metrics.render().decode()
