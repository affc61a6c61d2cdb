import pytest
from pydantic import ValidationError

from tests.factories import make_tweetbot
from tweetbot_api.deepspeed_config import OWNED_KEYS


def make_recipe(config):
    return make_tweetbot(training={"deepspeed": {"config": config}}).spec.training


def nested(key):
    section, _, inner = key.partition(".")
    return {section: {inner: "anything"} if inner else "anything"}


@pytest.mark.parametrize("key", OWNED_KEYS)
def test_what_the_recipe_decides_is_refused_with_the_field_to_use(key):
    with pytest.raises(ValidationError) as caught:
        make_recipe({"wall_clock_breakdown": True, **nested(key)})
    (error,) = caught.value.errors()
    assert ".".join(error["loc"]) == "spec.training.deepspeed.config"
    assert f"{key} may not be set here: {OWNED_KEYS[key]}" in error["msg"]


def test_everything_else_is_kept_as_it_is():
    config = {"zero_optimization": {"overlap_comm": True, "reduce_bucket_size": 5e8}, "wall_clock_breakdown": True}
    assert make_recipe(config).deepspeed.config == config
    assert make_recipe({"zero_optimization": 3}).deepspeed.config == {"zero_optimization": 3}


def test_a_huge_configuration_is_refused():
    with pytest.raises(ValidationError, match="more than 8,192 characters"):
        make_recipe({"note": "x" * 9_000})
