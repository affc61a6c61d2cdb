from tests.factories import make_tweetbot
from tweetbot_trainer.local_run import run_config_of


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
