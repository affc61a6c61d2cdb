"""The objects that are made, whole, beside the bot that asks for them. `UPDATE_GOLDEN=1` writes them anew."""

import json
import os
from pathlib import Path

import pytest
import yaml

from tests.unit.operator.factories import NOW, make_job, make_outcome, make_settings, make_tweetbot
from tweetbot_api.types import TweetBot
from tweetbot_operator.builders.job import build_job
from tweetbot_operator.builders.manifest import build_config_map
from tweetbot_operator.builders.pod import count_threads
from tweetbot_operator.builders.service import build_service
from tweetbot_operator.observed import Observed, Result
from tweetbot_operator.plan import make_plan
from tweetbot_operator.reading import read_job
from tweetbot_operator.settings import OperatorSettings

GOLDEN = Path(__file__).parents[2] / "golden" / "operator"
FULL_SPEC = {
    "handles": ["@Ann", "ben"],
    "source": {"files": {"uri": "s3://tweets/{handle}.jsonl"}},
    "baseModel": {"name": "s3://models/distilgpt2"},
    "training": {"epochs": 2, "seed": 7},
    "resources": {
        "gpus": 1,
        "cpu": "7500m",
        "memory": "32Gi",
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "low",
        "queueName": "bots",
    },
    "output": {
        "s3": {
            "bucket": "mine",
            "prefix": "team/bots",
            "credentialsSecret": {"name": "s3-keys"},
            "checksums": "when_required",
            "encryption": {"algorithm": "aws:kms", "kmsKeyID": "alias/bots"},
        },
        "huggingFace": {"repo": "team/ann-ben", "private": False, "tokenSecret": {"name": "hub"}},
    },
    "tracking": {
        "wandb": {
            "mode": "online",
            "entity": "team",
            "baseURL": "https://wandb.test",
            "apiKeySecret": {"name": "wandb"},
        }
    },
}
X_SPEC = {"source": {"x": {"credentialsSecret": {"name": "x-api"}, "termsAccepted": True, "maxCostUSD": 5}}}
NODES_SPEC = {"resources": {"gpus": 4, "nodes": 2, "cpu": "8", "memory": "64Gi"}}
SPECS = {"least": {}, "cpu": {"resources": {"gpus": 0}}, "full": FULL_SPEC, "x": X_SPEC, "nodes": NODES_SPEC}
SETTINGS = make_settings()
THOROUGH = make_settings(
    images={"prepare": "registry.test/prepare:1", "train": "registry.test/train:1", "pullSecrets": ["pull"]},
    defaults={"serviceAccountName": "tweetbots"},
)


def make_running(spec: dict, settings: OperatorSettings, *, is_training: bool) -> TweetBot:
    """Return the bot with its first prepare or train attempt in status."""
    bot = make_tweetbot(**spec)
    bot = bot.model_copy(update={"status": make_plan(bot, Observed(), settings, NOW).status})
    if is_training:
        job = read_job(make_job(bot))
        result = Observed(job=job, result=Result(outcome=make_outcome("prepare"), pod_uid="x"))
        bot = bot.model_copy(update={"status": make_plan(bot, result, settings, NOW).status})
    return bot


@pytest.mark.parametrize("kind", ["prepare", "train"])
@pytest.mark.parametrize("case", SPECS)
def test_the_objects_of_an_attempt_are_as_reviewed(case: str, kind: str) -> None:
    settings = THOROUGH if case == "full" else SETTINGS
    bot = make_running(SPECS[case], settings, is_training=kind == "train")
    job = build_job(kind, bot.status.run.job_name, [bot], settings)
    config_map = build_config_map(kind, read_job(make_job(bot)), [bot], settings, "THE CA\n")

    check_golden(f"{case}-{kind}-job.yaml", job)
    config_map["data"]["manifest.json"] = json.loads(config_map["data"]["manifest.json"])
    check_golden(f"{case}-{kind}-config-map.yaml", config_map)
    if job["spec"]["parallelism"] > 1:
        check_golden(f"{case}-{kind}-service.yaml", build_service(read_job(make_job(bot)), [bot]))


def check_golden(name: str, document: dict) -> None:
    path = GOLDEN / name
    text = yaml.safe_dump(document, sort_keys=False, width=120)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


def test_a_job_of_a_batch_is_owned_by_each_bot_and_controlled_by_none() -> None:
    bots = [make_running({"handles": [name]}, SETTINGS, is_training=False) for name in ("ann", "ben")]

    job = build_job("prepare", "batch", bots, SETTINGS)

    assert [owner.get("controller") for owner in job["metadata"]["ownerReferences"]] == [None, None]
    manifest = build_config_map("prepare", read_job(make_job(bots[0])), bots, SETTINGS, "")["data"]["manifest.json"]
    assert [bot["handles"] for bot in json.loads(manifest)["bots"]] == [["ann"], ["ben"]]


@pytest.mark.parametrize(("cpu", "want"), [("4", 4), ("500m", 1), ("7500m", 8), ("2.5", 3), ("1k", 1)])
def test_threads_use_the_cpus_up(cpu: str, want: int) -> None:
    assert count_threads(cpu) == want
