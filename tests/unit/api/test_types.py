"""What makes a run another run, and what does not."""

from typing import Any

import pytest
from hypothesis import given

from tests.factories import make_tweetbot
from tests.unit.api.strategies import specs
from tweetbot_api.spec.tweetbot import TweetBotSpec
from tweetbot_api.types import TweetBot

BOT = make_tweetbot()

SAME_RUN: dict[str, dict[str, Any]] = {
    "more attempts": {"maxAttempts": 10},
    "more memory": {"resources": {"memory": "32Gi"}},
    "a queue": {"resources": {"queueName": "bots"}},
    "tracking": {"tracking": {"wandb": {"mode": "offline"}}},
    "a switch for the store's sake": {"output": {"s3": {"checksums": "when_required"}}},
    "defaults written out": {"training": {"epochs": 4, "learningRate": 1.372e-4}, "generation": {"topP": 0.95}},
    "an integer for a float": {"training": {"maxGradNorm": 1}},
}
OTHER_RUN: dict[str, dict[str, Any]] = {
    "another handle": {"handles": ["ada"]},
    "another file": {"source": {"archive": {"uri": "s3://tweets/newer.zip"}}},
    "another kind of source": {"source": {"files": {"uri": "s3://tweets/{handle}.zip"}}},
    "another base model": {"baseModel": {"name": "distilgpt2"}},
    "other rules of cleaning": {"cleaning": {"mentions": "strip"}},
    "more epochs": {"training": {"epochs": 5}},
    "another prompt": {"generation": {"prompts": ["Today"]}},
    "another bucket": {"output": {"s3": {"bucket": "elsewhere"}}},
    "a repository on the Hub": {"output": {"huggingFace": {"repo": "bots/ada", "tokenSecret": {"name": "hub"}}}},
    "another runID": {"runID": "again"},
}


@pytest.mark.parametrize("fields", SAME_RUN.values(), ids=SAME_RUN.keys())
def test_what_does_not_shape_the_model_starts_no_run(fields: dict[str, Any]) -> None:
    assert make_tweetbot(**fields).run_id == BOT.run_id


@pytest.mark.parametrize("fields", OTHER_RUN.values(), ids=OTHER_RUN.keys())
def test_what_shapes_the_model_starts_another_run(fields: dict[str, Any]) -> None:
    assert make_tweetbot(**fields).run_id != BOT.run_id


def test_another_secret_for_the_hub_starts_no_run() -> None:
    first, second = (
        make_tweetbot(output={"huggingFace": {"repo": "bots/ada", "tokenSecret": {"name": name}}}) for name in "ab"
    )
    assert first.run_id == second.run_id


def test_a_bot_made_again_under_the_same_name_runs_again() -> None:
    assert make_tweetbot(metadata={"uid": "another"}).run_id != BOT.run_id


def test_the_id_of_this_bot_is_the_same_in_every_version() -> None:
    """If this fails, an upgrade of the operator would train every bot in the cluster again."""
    assert BOT.run_id == "26da78bdfe"


@given(specs)
def test_a_spec_comes_back_from_the_wire_with_the_same_run(spec: TweetBotSpec) -> None:
    bot = BOT.model_copy(update={"spec": spec})
    again = TweetBot.model_validate(bot.to_wire())
    assert (again.spec, again.run_id) == (spec, bot.run_id)


@given(specs)
def test_defaults_that_the_apiserver_writes_out_start_no_run(spec: TweetBotSpec) -> None:
    """The CRD has defaults, so what the operator reads is longer than what the user wrote."""
    short = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    read = TweetBotSpec.model_validate(short)
    assert BOT.model_copy(update={"spec": read}).run_id == BOT.model_copy(update={"spec": spec}).run_id


def test_a_seed_that_is_not_given_belongs_to_the_run() -> None:
    seed = BOT.recipe.seed

    assert seed is not None
    assert make_tweetbot(maxAttempts=10).recipe.seed == seed
    assert make_tweetbot(runID="again").recipe.seed != seed
    assert make_tweetbot(training={"seed": 0}).recipe.seed == 0


def test_a_newer_operators_defaults_do_not_start_a_run_again():
    plain = make_tweetbot()
    defaulted = make_tweetbot(
        training={"method": "full", "gradientAccumulationSteps": 1, "deepspeed": {"zeroStage": 0}}
    )
    assert defaulted.run_id == plain.run_id == "26da78bdfe"
    assert make_tweetbot(training={"deepspeed": {"zeroStage": 2}}).run_id != plain.run_id
