"""What the schema cannot know: each case names the field and the fix."""

import pytest

from tests.unit.operator.factories import make_settings, make_tweetbot
from tweetbot_operator.policies.validation import validate

NO_BUCKET = {"defaults": {}}
CASES = {
    "a file of one's own machine": (
        {"source": {"archive": {"uri": "file:///home/me/ann.zip"}}},
        {},
        "spec.source.archive.uri",
    ),
    "lines of one's own machine": ({"source": {"files": {"uri": "file:///ann.jsonl"}}}, {}, "spec.source.files.uri"),
    "one more file without a key": (
        {"source": {"files": {"uri": "s3://tweets/a.csv", "also": ["s3://tweets"]}}},
        {},
        "spec.source.files.also[0]",
    ),
    "an address without a key": ({"source": {"archive": {"uri": "s3://tweets"}}}, {}, "write s3://bucket/key"),
    "a model of one's own machine": ({"baseModel": {"name": "file:///gpt2"}}, {}, "spec.baseModel.name"),
    "a mirror without a prefix": ({"baseModel": {"name": "s3://models"}}, {}, "write s3://bucket/prefix"),
    "no bucket anywhere": ({}, NO_BUCKET, "spec.output.s3.bucket"),
    "a prefix that climbs": ({"output": {"s3": {"prefix": "../others"}}}, {}, "spec.output.s3.prefix"),
    "W&B online without a key": ({"tracking": {"wandb": {"mode": "online"}}}, {}, "spec.tracking.wandb.apiKeySecret"),
}
VALID = {
    "the least": ({}, {}),
    "a bucket of one's own": ({"output": {"s3": {"bucket": "mine"}}}, NO_BUCKET),
    "a mirror": ({"baseModel": {"name": "s3://models/gpt2"}}, {}),
    "W&B with a key": ({"tracking": {"wandb": {"mode": "online", "apiKeySecret": {"name": "wandb"}}}}, {}),
    "W&B with the platform's key": (
        {"tracking": {"wandb": {"mode": "online"}}},
        {"defaults": {"s3": {"bucket": "models"}, "wandb": {"apiKeySecret": {"name": "wandb"}}}},
    ),
}


@pytest.mark.parametrize(("spec", "settings", "want"), CASES.values(), ids=CASES.keys())
def test_a_spec_that_cannot_be_run_is_told_why(spec: dict, settings: dict, want: str) -> None:
    verdict = validate(make_tweetbot(**spec), make_settings(**settings))

    assert verdict is not None
    assert want in verdict.message
    assert verdict.reason == "InvalidSpec"


@pytest.mark.parametrize(("spec", "settings"), VALID.values(), ids=VALID.keys())
def test_a_spec_that_can_be_run_is_accepted(spec: dict, settings: dict) -> None:
    assert validate(make_tweetbot(**spec), make_settings(**settings)) is None
