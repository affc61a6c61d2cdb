"""How many tokens are remembered, and for how long."""

import asyncio

import pytest

from tests.unit.operator.fake_cluster import FakeCluster
from tweetbot_operator import tokens
from tweetbot_operator.tokens import REMEMBERED_SECONDS, TokenReviewer


class Reviewed:
    """A reviewer, its clock, and what it asks the cluster."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cluster = FakeCluster()
        self.reviewer = TokenReviewer(self.cluster, lambda: self.now)

    def is_asked_about(self, token: str) -> bool:
        before = len(self.cluster.reads)
        asyncio.run(self.reviewer.identify(token))
        return len(self.cluster.reads) > before


def test_of_too_many_fresh_tokens_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MOST_REMEMBERED", 3)
    reviewed = Reviewed()
    for token in "abcd":
        assert reviewed.is_asked_about(token)

    assert not reviewed.is_asked_about("b")
    assert not reviewed.is_asked_about("d")
    assert reviewed.is_asked_about("a")


def test_a_token_that_was_asked_about_anew_is_not_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MOST_REMEMBERED", 2)
    reviewed = Reviewed()
    reviewed.is_asked_about("a")
    reviewed.now = 1
    reviewed.is_asked_about("b")
    reviewed.now = REMEMBERED_SECONDS
    assert reviewed.is_asked_about("a")

    assert reviewed.is_asked_about("c")

    assert not reviewed.is_asked_about("a")
