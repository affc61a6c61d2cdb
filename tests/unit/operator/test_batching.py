"""Who shares a Job with whom."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operator.factories import NOW, make_settings, make_tweetbot
from tweetbot_api.status import Dataset
from tweetbot_api.types import TweetBot
from tweetbot_operator.observed import Key
from tweetbot_operator.policies.batching import (
    Candidate,
    Group,
    build_candidate,
    choose_batches,
    is_full,
    is_time,
    may_share,
    take_turns,
)
from tweetbot_operator.settings import Batching

SETTINGS = make_settings(batching={"maxBots": 64})
DATASET = Dataset(characters=9000, tokens=2000, sha256="d" * 64)
GROUP = Group(namespace="default", kind="train", most=4, likeness="{}")


def candidate(name: str, *, user: str = "", tokens: int = 1, seconds: int = 0) -> Candidate:
    accepted = NOW + timedelta(seconds=seconds)
    key = Key("default", name)
    return Candidate(
        bot=key, group=GROUP, job_name=name, user=user, tokens=tokens, accepted=accepted, is_preparing=False
    )


def named(batches: list[list[Candidate]]) -> list[str]:
    return ["".join(item.bot.name for item in batch) for batch in batches]


def group_of(bot: TweetBot, kind: str = "train", failures: int = 0) -> Group:
    return build_candidate(bot, kind, 1, failures, DATASET, SETTINGS, NOW).group


def test_a_batch_holds_as_many_bots_as_may_share_a_job() -> None:
    batches = choose_batches([candidate(name) for name in "abcdefghi"], Batching())
    assert named(batches) == ["abcd", "efgh", "i"]
    assert [is_full(batch, Batching()) for batch in batches] == [True, True, False]


def test_a_batch_holds_no_more_tokens_than_one_job_may_train_on() -> None:
    limits = Batching(max_tokens=10)
    batches = choose_batches([candidate("a", tokens=6), candidate("b", tokens=4), candidate("c", tokens=99)], limits)
    assert named(batches) == ["ab", "c"]
    assert [is_full(batch, limits) for batch in batches] == [True, True]


def test_users_take_turns_so_that_many_bots_of_one_hold_up_nobody() -> None:
    many = [candidate(name, user="ann", seconds=number) for number, name in enumerate("abcdefgh")]
    late = [candidate("x", user="ben", seconds=60), candidate("y", user="eve", seconds=61)]
    assert named(choose_batches([*many, *late], Batching())) == ["axyb", "cdef", "gh"]


@given(st.lists(st.tuples(st.sampled_from(["", "ann", "ben"]), st.integers(0, 12), st.integers(0, 9)), max_size=40))
def test_everybody_is_in_one_batch_and_no_batch_is_too_big(bots: list[tuple[str, int, int]]) -> None:
    limits = Batching(max_tokens=20)
    waiting = [
        candidate(str(number), user=user, tokens=tokens, seconds=seconds)
        for number, (user, tokens, seconds) in enumerate(bots)
    ]
    batches = choose_batches(waiting, limits)
    assert [item for batch in batches for item in batch] == take_turns(waiting)
    for batch in batches:
        assert 0 < len(batch) <= GROUP.most
        assert len(batch) == 1 or sum(item.tokens for item in batch) <= limits.max_tokens


@given(st.lists(st.tuples(st.sampled_from(["ann", "ben", "eve"]), st.integers(0, 5)), max_size=30))
def test_nobody_is_served_a_second_time_before_each_was_once(bots: list[tuple[str, int]]) -> None:
    waiting = [candidate(str(number), user=user, seconds=time) for number, (user, time) in enumerate(bots)]
    turns = [item.user for item in take_turns(waiting)]
    for place, user in enumerate(turns):
        served = turns[: place + 1].count(user)
        others = {other: turns[:place].count(other) for other in set(turns) if other != user}
        assert all(count >= min(served - 1, turns.count(other)) for other, count in others.items())


ALIKE = {
    "handles": {"handles": ["ben"]},
    "epochs": {"training": {"epochs": 9}},
    "learning rate": {"training": {"learningRate": 0.001}},
    "seed": {"training": {"seed": 4}},
    "prompts": {"generation": {"prompts": ["I think"]}},
    "attempts": {"maxAttempts": 9},
    "bucket": {"output": {"s3": {"bucket": "another"}}},
}
DIFFERENT = {
    "base model": {"baseModel": {"name": "distilgpt2"}},
    "method": {"training": {"method": "lora"}},
    "block size": {"training": {"blockSize": 512}},
    "precision": {"training": {"precision": "fp32"}},
    "memory": {"resources": {"memory": "99Gi"}},
    "queue": {"resources": {"queueName": "bots"}},
    "priority": {"resources": {"priorityClassName": "low"}},
    "S3 credentials": {"output": {"s3": {"credentialsSecret": {"name": "mine"}}}},
    "Hub credentials": {"output": {"huggingFace": {"repo": "a/b", "tokenSecret": {"name": "mine"}}}},
}


@pytest.mark.parametrize("spec", ALIKE.values(), ids=ALIKE.keys())
def test_bots_share_a_train_job_though_they_differ_in(spec: dict) -> None:
    assert group_of(make_tweetbot(**spec)) == group_of(make_tweetbot())


@pytest.mark.parametrize("spec", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_bots_share_no_train_job_if_they_differ_in(spec: dict) -> None:
    assert group_of(make_tweetbot(**spec)) != group_of(make_tweetbot())


def test_bots_of_different_sources_are_not_fetched_by_one_job() -> None:
    bluesky = make_tweetbot(source={"bluesky": {}}, handles=["ann.bsky.social"])
    assert group_of(bluesky, "prepare") != group_of(make_tweetbot(), "prepare")
    assert group_of(bluesky) == group_of(make_tweetbot())


def test_each_failure_leaves_less_company() -> None:
    assert [group_of(make_tweetbot(), failures=number).most for number in range(4)] == [64, 8, 1, 1]


@pytest.mark.parametrize(
    ("kind", "spec", "max_bots", "want"),
    [
        ("prepare", {}, 64, True),
        ("train", {}, 64, True),
        ("train", {}, 1, False),
        ("purge", {}, 64, False),
        ("train", {"resources": {"gpus": 4}}, 64, False),
        ("train", {"resources": {"nodes": 2, "gpus": 0}}, 64, False),
        ("prepare", {"resources": {"gpus": 4}}, 64, True),
    ],
)
def test_who_may_share(kind: str, spec: dict, max_bots: int, want: bool) -> None:
    assert may_share(make_tweetbot(**spec), kind, 0, make_settings(batching={"maxBots": max_bots})) is want


@pytest.mark.parametrize(
    ("kind", "since", "now", "others", "want"),
    [
        pytest.param("prepare", [0], 0.9, False, False, id="somebody has come just now"),
        pytest.param("prepare", [0], 1, True, True, id="nobody has come for a moment"),
        pytest.param("prepare", [0, 9.9], 10, False, True, id="the first has waited for the window"),
        pytest.param("train", [0], 1, False, True, id="nobody is being prepared"),
        pytest.param("train", [0], 9.9, True, False, id="the next may be ready soon"),
        pytest.param("train", [0], 10, True, True, id="the next is not ready for long"),
        pytest.param("train", [0, 50, 100, 150], 155, True, False, id="they keep coming"),
        pytest.param("train", [0, 50, 100, 150], 200, True, True, id="they have kept coming for too long"),
    ],
)
def test_bots_wait_for_others_as_long_as_it_is_worth(
    kind: str, since: list[float], now: float, others: bool, want: bool
) -> None:
    limits = Batching(window_seconds=10, max_wait_seconds=200)
    assert is_time(kind, since, now, limits, are_others_expected=others) is want


def test_without_a_window_nobody_waits() -> None:
    assert is_time("prepare", [5], 5, Batching(window_seconds=0), are_others_expected=False)
    assert is_time("train", [5], 5, Batching(window_seconds=0), are_others_expected=True)
