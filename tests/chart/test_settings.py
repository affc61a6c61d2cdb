"""The settings file that the chart writes is the one that the operator reads."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.chart import CHART, Chart
from tweetbot_operator.settings import Images, LeaseSettings, OperatorSettings, Server, load_settings


def load(chart: Chart, folder: Path, **values: Any) -> OperatorSettings:
    path = folder / "settings.yaml"
    path.write_text(chart.render_one("ConfigMap", **values)["data"]["settings.yaml"])
    return load_settings(path)


def test_the_charts_defaults_are_the_operators(chart: Chart, tmp_path: Path) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    images = Images(prepare=f"tweetbot/prepare:{version}", train=f"tweetbot/trainer:{version}")
    server = Server(url="https://tweetbot-operator.tweetbot-system.svc:8443")
    lease = LeaseSettings(namespace="tweetbot-system")
    assert load(chart, tmp_path) == OperatorSettings(images=images, server=server, lease=lease)


VALUES: dict[str, dict[str, Any]] = {
    "storage": {
        "defaults": {
            "s3": {
                "bucket": "my-bots",
                "prefix": "team/bots",
                "endpoint": "http://minio.storage:9000",
                "region": "us-east-1",
                "credentialsSecret": {"name": "tweetbot-s3"},
                "checksums": "when_required",
                "encryption": {"algorithm": "aws:kms", "kmsKeyID": "alias/bots"},
            }
        }
    },
    "wandb": {
        "defaults": {
            "wandb": {"mode": "online", "project": "p", "entity": "e", "apiKeySecret": {"name": "tweetbot-wandb"}}
        }
    },
    "train pod": {
        "defaults": {
            "train": {
                "gpus": 0,
                "cpu": "1500m",
                "memory": "6Gi",
                "nodeSelector": {"accelerator": "l4"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "priorityClassName": "batch",
                "queueName": "bots",
            },
            "prepare": {"cpu": "250m", "memory": "512Mi"},
        }
    },
    "sources": {
        "sources": {
            "xURL": "https://x-proxy.example.org",
            "xPostPriceUSD": 0.001,
            "trustedServers": ["https://social.example.internal"],
            "rawRetentionDays": 7,
        }
    },
    "base model": {"defaults": {"baseModel": {"name": "s3://models/gpt2", "revision": "main"}}},
    "images": {
        "images": {
            "prepare": "registry:5000/prepare:dev",
            "train": "registry:5000/train@sha256:0123",
            "pullPolicy": "Never",
            "pullSecrets": ["registry"],
        }
    },
    "pace": {"namespaces": ["team-a", "team-b"], "retryPauseSeconds": 1_000_000, "workers": 64},
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_every_value_reaches_the_operator(chart: Chart, tmp_path: Path, values: dict[str, Any]) -> None:
    loaded = load(chart, tmp_path, **values).model_dump(mode="json", by_alias=True)
    assert contains(loaded, values), loaded


def test_a_number_serves_as_a_quantity(chart: Chart, tmp_path: Path) -> None:
    train = load(chart, tmp_path, defaults={"train": {"cpu": 1.5, "memory": 8_000_000_000}}).defaults.train
    assert (train.cpu, train.memory) == ("1.5", "8000000000")


def contains(whole: Any, part: Any) -> bool:
    """Tell whether each leaf of `part` stands in `whole` at the same place."""
    if isinstance(part, dict):
        return all(name in whole and contains(whole[name], item) for name, item in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)
