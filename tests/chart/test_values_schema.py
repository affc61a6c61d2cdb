"""Wrong values are refused before anything is installed, by a message that names their path."""

from typing import Any

import pytest

from tests.chart.chart import Chart

BAD_VALUES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown value": ({"replicas": 2}, "'replicas' not allowed"),
    "misspelt bucket": ({"defaults": {"s3": {"bukcet": "bots"}}}, "at '/defaults/s3': additional"),
    "bucket in capitals": ({"defaults": {"s3": {"bucket": "My_Bots"}}}, "at '/defaults/s3/bucket'"),
    "endpoint without scheme": ({"defaults": {"s3": {"endpoint": "minio:9000"}}}, "at '/defaults/s3/endpoint'"),
    "keys in the values": ({"defaults": {"s3": {"accessKey": "AKIA"}}}, "'accessKey' not allowed"),
    "secret as text": ({"defaults": {"s3": {"credentialsSecret": "s3"}}}, "at '/defaults/s3/credentialsSecret'"),
    "secret without name": ({"defaults": {"s3": {"credentialsSecret": {}}}}, "missing property 'name'"),
    "unknown W&B mode": ({"defaults": {"wandb": {"mode": "on"}}}, "at '/defaults/wandb/mode'"),
    "more GPUs than a node has": ({"defaults": {"train": {"gpus": 17}}}, "at '/defaults/train/gpus'"),
    "GPUs as text": ({"defaults": {"train": {"gpus": "one"}}}, "at '/defaults/train/gpus'"),
    "memory in gigabytes": ({"defaults": {"train": {"memory": "16GB"}}}, "at '/defaults/train/memory'"),
    "misspelt taint effect": (
        {"defaults": {"train": {"tolerations": [{"effect": "NoRun"}]}}},
        "at '/defaults/train/tolerations/0/effect'",
    ),
    "base model without name": ({"defaults": {"baseModel": "gpt2"}}, "at '/defaults/baseModel'"),
    "unknown pull policy": ({"images": {"pullPolicy": "Sometimes"}}, "at '/images/pullPolicy'"),
    "image in parts": ({"images": {"train": {"repository": "x", "tag": "y"}}}, "at '/images/train'"),
    "no operator image": ({"images": {"operator": ""}}, "at '/images/operator'"),
    "namespaces as text": ({"namespaces": "team-a"}, "at '/namespaces'"),
    "no workers": ({"workers": 0}, "at '/workers'"),
    "half a worker": ({"workers": 1.5}, "at '/workers'"),
    "negative pause": ({"retryPauseSeconds": -1}, "at '/retryPauseSeconds'"),
    "switch as text": ({"crds": {"install": "yes"}}, "at '/crds/install'"),
    "unknown resource": ({"operator": {"resources": {"limits": {"gpu": 1}}}}, "at '/operator/resources/limits'"),
    "privileged operator": ({"operator": {"securityContext": {}}}, "at '/operator'"),
    "wait in words": (
        {"monitoring": {"prometheusRule": {"longestWaitSeconds": "1h"}}},
        "at '/monitoring/prometheusRule/longestWaitSeconds'",
    ),
    "server address": ({"server": {"url": "https://elsewhere"}}, "'server' not allowed"),
}


@pytest.mark.parametrize(("values", "want_message"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_bad_value_is_refused_with_its_path(chart: Chart, values: dict[str, Any], want_message: str) -> None:
    assert want_message in chart.refusal(values)
