"""The spec over the platform's defaults."""

from tests.unit.operator.factories import NOW, make_settings, make_tweetbot
from tweetbot_api.types import TweetBot
from tweetbot_operator.observed import Observed
from tweetbot_operator.plan import make_plan
from tweetbot_operator.resolve import resolve, resolve_run

SETTINGS = make_settings(
    defaults={
        "s3": {"bucket": "models", "endpoint": "https://s3.test", "credentialsSecret": {"name": "keys"}},
        "train": {"gpus": 1, "cpu": "4", "memory": "16Gi", "nodeSelector": {"pool": "gpu"}},
    }
)


def make_running(**spec: object) -> TweetBot:
    bot = make_tweetbot(**spec)
    return bot.model_copy(update={"status": make_plan(bot, Observed(), SETTINGS, NOW).status})


def test_what_the_spec_leaves_out_comes_from_the_platform_field_by_field() -> None:
    resolved = resolve(make_tweetbot(output={"s3": {"bucket": "mine"}}, resources={"gpus": 0}), SETTINGS)

    assert (resolved.s3.bucket, resolved.s3.endpoint) == ("mine", "https://s3.test")
    assert resolved.s3.credentials_secret.name == "keys"
    assert (resolved.train.gpus, resolved.train.cpu) == (0, "4")
    assert resolved.base_model.name == "gpt2"


def test_a_run_knows_everything_and_no_secret() -> None:
    bot = make_running(handles=["@Ann"])

    run = resolve_run(bot, SETTINGS)

    assert run.handles == ["ann"]
    assert run.output.uri == f"s3://models/default/ann/{bot.run_id}"
    assert (run.bot.uid, run.bot.attempt) == ("uid-of-ann", 1)
    assert (run.wandb.mode, run.wandb.project) == ("disabled", "huggingtweets")
    assert "keys" not in run.model_dump_json()


def test_a_seed_that_is_not_given_comes_from_the_run() -> None:
    bot = make_running()

    assert resolve_run(bot, SETTINGS).training == bot.recipe
    assert resolve_run(make_running(training={"seed": 0}), SETTINGS).training.seed == 0
