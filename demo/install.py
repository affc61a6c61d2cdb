"""Install the chart and what a namespace of bots needs: the S3 Secret."""

import json
from typing import Any

from demo.environment import Environment
from demo.storage import OUTPUT_BUCKET

RELEASE, SYSTEM_NAMESPACE = "tweetbot", "tweetbot-system"
CHART = "charts/tweetbot-operator"
S3_SECRET = "tweetbot-s3"  # noqa: S105 - the Secret's name
# Two cores train best with two threads; the pod leaves room for what else runs on the machine.
TRAIN_RESOURCES = {"gpus": 1, "cpu": "1500m", "memory": "6Gi"}


def demo_values(environment: Environment, base_model: str) -> dict[str, Any]:
    """Return the chart's values for images built here, the environment's S3 store and this base model."""
    registry = environment.variables.get("REGISTRY", "docker.io/local")
    tag = environment.variables.get("TAG", "dev")
    return {
        "images": {
            "operator": f"{registry}/tweetbot-operator:{tag}",
            "prepare": f"{registry}/tweetbot-prepare:{tag}",
            "train": f"{registry}/tweetbot-trainer:{tag}",
        },
        "defaults": {
            "baseModel": {"name": base_model},
            "s3": {
                "bucket": OUTPUT_BUCKET,
                "endpoint": environment.s3_endpoint,
                "region": environment.variables.get("AWS_DEFAULT_REGION", "us-east-1"),
                "credentialsSecret": {"name": S3_SECRET},
            },
            "wandb": {"mode": "offline"},
            "train": TRAIN_RESOURCES,
        },
    }


def install_operator(environment: Environment, *values: dict[str, Any]) -> None:
    """Install or upgrade the chart and wait until the operator is ready; later values win over earlier ones."""
    files = [argument for value in values for argument in ("--set-json", json.dumps(value))]
    environment.run(
        *("helm", "upgrade", "--install", RELEASE, CHART, "--namespace", SYSTEM_NAMESPACE, "--create-namespace"),
        *("--wait", "--timeout", "120s"),
        *files,
    )


def make_namespace(environment: Environment, name: str) -> None:
    """Make a namespace that enforces the `restricted` pod security standard, with the S3 Secret in it."""
    environment.run("kubectl", "apply", "-f", "-", stdin=json.dumps(_namespace_with_secret(environment, name)))


def _namespace_with_secret(environment: Environment, name: str) -> dict[str, Any]:
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": S3_SECRET, "namespace": name},
        "stringData": {key: environment.variables[key] for key in keys},
    }
    return {"apiVersion": "v1", "kind": "List", "items": [namespace, secret]}
