import pytest

from tests.factories import make_tweetbot
from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.local_run import load_source_access, run_config_of


def test_a_bot_without_wishes_gets_the_defaults_of_the_command_line():
    bot = make_tweetbot(handles=["@ThisIsAito"])
    config = run_config_of(bot)
    assert config.handles == ["thisisaito"]
    assert config.base_model.name == "gpt2"
    assert config.wandb.mode == "disabled"
    assert config.bot.run_id == bot.run_id


def test_the_seed_is_the_bots_own_or_derived_from_its_run():
    assert run_config_of(make_tweetbot(training={"seed": 7})).training.seed == 7
    assert run_config_of(make_tweetbot()).training.seed == run_config_of(make_tweetbot()).training.seed
    assert run_config_of(make_tweetbot()).training.seed != run_config_of(make_tweetbot(runID="again")).training.seed


def test_tracking_and_the_way_to_s3_are_taken_from_the_spec():
    config = run_config_of(
        make_tweetbot(
            tracking={"wandb": {"mode": "offline", "entity": "me"}},
            output={"s3": {"bucket": "bots", "endpoint": "http://s3:7070", "region": "eu-west-1"}},
        )
    )
    assert (config.wandb.mode, config.wandb.project, config.wandb.entity) == ("offline", "huggingtweets", "me")
    assert (config.output.endpoint, config.output.region) == ("http://s3:7070", "eu-west-1")


def test_addresses_and_prices_of_sources_come_from_a_file_of_their_own(tmp_path):
    path = tmp_path / "sources.yaml"
    path.write_text("xURL: http://127.0.0.1:8080\nxPostPriceUSD: 0.001\n")
    config = run_config_of(make_tweetbot(), load_source_access(path))
    assert (config.access.x_url, config.access.x_post_price_usd) == ("http://127.0.0.1:8080", 0.001)
    assert run_config_of(make_tweetbot()).access.x_url == "https://api.x.com"


def test_a_wrong_field_of_that_file_is_named(tmp_path):
    path = tmp_path / "sources.yaml"
    path.write_text("xUrl: https://api.x.com\n")
    with pytest.raises(TrainerError, match="xUrl") as caught:
        load_source_access(path)
    assert caught.value.reason == Reason.INVALID_SPEC


def test_what_was_bought_is_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run_config_of(make_tweetbot()).raw_uri == (tmp_path / "tweetbot" / "raw").as_uri()
