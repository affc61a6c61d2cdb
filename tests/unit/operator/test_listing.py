"""All is known before anything is decided, and what vanishes unseen is forgotten."""

import asyncio
from typing import cast

import pytest

from tests.unit.operator.factories import make_tweetbot_document
from tests.unit.operator.fake_cluster import FakeCluster
from tweetbot_api import names
from tweetbot_operator import listing
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.cluster import Cluster, TransientError
from tweetbot_operator.feed import OURS, Feed
from tweetbot_operator.listing import Listing
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.store import Store
from tweetbot_operator.waiting import Item
from tweetbot_operator.workqueue import WorkQueue

JOB = {"kind": "Job", "metadata": {"namespace": "bots", "name": "ann-prepare"}}
OUR_JOB = {**JOB, "metadata": {**JOB["metadata"], "labels": dict([OURS.split("=")])}}


class Operator:
    """What an operator knows of a cluster."""

    def __init__(self, namespaces: list[str] | None = None) -> None:
        self.cluster = FakeCluster()
        self.queue: WorkQueue[Item] = WorkQueue(lambda: 0.0)
        self.feed = Feed(Store(), self.queue, Roster(), WorkQueue(lambda: 0.0), Metrics("test"), lambda: 0.0)
        self.listing = Listing(cast("Cluster", self.cluster), self.feed, namespaces or [])

    def knows(self, kind: str) -> list[str]:
        return sorted(key.name for key in self.feed.known(kind).values())


def put_bot(cluster: FakeCluster, name: str, namespace: str = "bots") -> None:
    document = make_tweetbot_document(name)
    cluster.put({**document, "metadata": {**document["metadata"], "namespace": namespace}})


def test_every_kind_is_known_after_the_first_lists() -> None:
    operator = Operator()
    put_bot(operator.cluster, "ann")
    operator.cluster.put(OUR_JOB)
    asyncio.run(operator.listing.sync())
    assert operator.knows(names.KIND) == ["ann"]
    assert operator.knows("Job") == ["ann-prepare"]
    assert operator.queue.take() == Key("bots", "ann")


def test_jobs_that_others_have_made_are_not_listed() -> None:
    operator = Operator()
    operator.cluster.put(JOB)
    asyncio.run(operator.listing.sync())
    assert operator.knows("Job") == []


def test_only_the_watched_namespaces_are_listed() -> None:
    operator = Operator(["bots"])
    put_bot(operator.cluster, "ann")
    put_bot(operator.cluster, "eve", namespace="elsewhere")
    asyncio.run(operator.listing.sync())
    assert operator.knows(names.KIND) == ["ann"]


def test_first_lists_are_read_until_they_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator()
    put_bot(operator.cluster, "ann")
    answers = iter([TransientError("the apiserver restarts"), None])
    read_all = operator.listing._read_all

    def answer() -> None:
        if error := next(answers):
            raise error
        read_all()

    monkeypatch.setattr(operator.listing, "_read_all", answer)
    monkeypatch.setattr(listing, "_PAUSE_SECONDS", 0)
    asyncio.run(operator.listing.sync())
    assert operator.knows(names.KIND) == ["ann"]


def test_a_bot_that_vanished_unseen_is_forgotten_and_others_are_not() -> None:
    operator = Operator()
    for name in ("ann", "ben"):
        put_bot(operator.cluster, name)
    asyncio.run(operator.listing.sync())
    del operator.cluster.objects[names.KIND, Key("bots", "ann")]
    asyncio.run(operator.listing.sweep())
    assert operator.knows(names.KIND) == ["ben"]


def test_what_is_made_while_names_are_listed_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator()
    put_bot(operator.cluster, "ann")
    iterate_uids = operator.cluster.iterate_uids

    def list_then_make(kind: str, namespace: str | None, label: str) -> list[str]:
        found = list(iterate_uids(kind, namespace, label))
        if kind == names.KIND:
            put_bot(operator.cluster, "ben")
            operator.feed.see(kind, {"type": "ADDED", "object": operator.cluster.objects[kind, Key("bots", "ben")]})
        return found

    asyncio.run(operator.listing.sync())
    monkeypatch.setattr(operator.cluster, "iterate_uids", list_then_make)
    asyncio.run(operator.listing.sweep())
    assert operator.knows(names.KIND) == ["ann", "ben"]


def test_nothing_is_forgotten_while_the_apiserver_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator()
    put_bot(operator.cluster, "ann")
    asyncio.run(operator.listing.sync())

    def refuse(kind: str, namespace: str | None, label: str) -> list[str]:
        raise TransientError(kind)

    monkeypatch.setattr(operator.cluster, "iterate_uids", refuse)
    asyncio.run(operator.listing.sweep())
    assert operator.knows(names.KIND) == ["ann"]
