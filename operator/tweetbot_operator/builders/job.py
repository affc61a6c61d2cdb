"""The prepare Job and the train Job: its pods are tried once; a further attempt is another Job with another name."""

import json
from collections.abc import Sequence
from typing import Any

from tweetbot_api import names
from tweetbot_api.exitcodes import STOPPED
from tweetbot_api.spec.resources import Resources
from tweetbot_api.types import TweetBot
from tweetbot_operator.builders.manifest import Manifest, build_labels
from tweetbot_operator.builders.pod import build_pod, count_nodes
from tweetbot_operator.policies.batching import hash_likeness
from tweetbot_operator.resolve import resolve
from tweetbot_operator.settings import OperatorSettings
from tweetbot_operator.version import operator_version


def build_job(kind: names.JobKind, job_name: str, bots: Sequence[TweetBot], settings: OperatorSettings) -> Manifest:
    """Return the Job that works on these bots, all alike in namespace, resources and credentials."""
    labels = build_labels(kind, bots)
    train = resolve(bots[0], settings).train
    queue = _build_queue_labels(train) if kind == "train" else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name,
            "namespace": bots[0].metadata.namespace,
            "labels": labels | queue | {names.LABEL_LIKENESS: hash_likeness(bots[0], kind, settings)},
            "annotations": {
                names.ANNOTATION_OPERATOR_VERSION: operator_version(),
                names.ANNOTATION_RUNS: _record_runs(bots),
            },
            "ownerReferences": [_build_owner(bot, is_only=len(bots) == 1) for bot in bots],
        },
        "spec": {
            # Kueue lets it start; without Kueue it would wait for good, so only a named queue suspends it.
            **({"suspend": True} if queue else {}),
            **_build_shape(count_nodes(kind, train)),
            "backoffLimit": 0,
            # An old pod is gone before a new one starts: two never write to one prefix.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _build_failure_rules()},
            "template": {"metadata": {"labels": labels}, "spec": build_pod(kind, job_name, bots, settings)},
        },
    }


def _build_queue_labels(train: Resources) -> dict[str, str]:
    if train.queue_name is None:
        return {}
    priority = train.queue_priority_class_name
    return {names.LABEL_QUEUE: train.queue_name} | ({names.LABEL_QUEUE_PRIORITY: priority} if priority else {})


def _build_shape(nodes: int) -> dict[str, Any]:
    """Return how many pods the Job has; several are told apart by an index, which gives each a host name that stays."""
    return {"completions": nodes, "parallelism": nodes, **({"completionMode": "Indexed"} if nodes > 1 else {})}


def _build_failure_rules() -> list[dict[str, Any]]:
    """Return the rules by which a pod's end fails the Job and ends its other pods: the next attempt is the operator's.

    Their use is the Job's message, which names the disruption or the exit code long after the pod is gone. What SIGTERM
    ends is no such failure: a queue stops pods that way, and their Job has to stay. Where no queue has stopped them,
    `backoffLimit` ends the Job, so that this alone means that they were stopped.
    """
    return [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": names.CONTAINER, "operator": "NotIn", "values": [0, *STOPPED]},
        },
    ]


def _record_runs(bots: Sequence[TweetBot]) -> str:
    return json.dumps([bot.status.run.to_wire() for bot in bots if bot.status.run], separators=(",", ":"))


def _build_owner(bot: TweetBot, *, is_only: bool) -> dict[str, Any]:
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": bot.metadata.name,
        "uid": bot.metadata.uid,
    }
    return owner | ({"controller": True} if is_only else {})
