"""The pod of a Job: restricted, without a Kubernetes token of its own, its credentials from Secrets that it names."""

import math
import re
from collections.abc import Sequence
from typing import Any

from tweetbot_api import names
from tweetbot_api.spec.resources import Resources
from tweetbot_api.types import TweetBot
from tweetbot_operator.resolve import Resolved, resolve
from tweetbot_operator.settings import OperatorSettings

USER = 65532
GRACE_SECONDS = 60
TOKEN_SECONDS = 3600
_S3_KEYS = (names.ENV_S3_ACCESS_KEY, names.ENV_S3_SECRET_KEY)


def build_pod(
    kind: names.JobKind, job_name: str, bots: Sequence[TweetBot], settings: OperatorSettings
) -> dict[str, Any]:
    """Return the spec of the pod that works on a batch of bots that are all alike."""
    resolved, run = resolve(bots[0], settings), bots[0].status.run
    assert run, "a Job is made only for a run that stands in status"  # noqa: S101 - make_plan sees to it
    service = names.service_name(run.id, run.attempt) if count_nodes(kind, resolved.train) > 1 else None
    return {
        **_build_conduct(settings),
        **_build_deadline(bots),
        **(_build_placement(resolved.train) if kind == "train" else {}),
        **({"subdomain": service} if service else {}),
        **_build_content(kind, job_name, resolved, settings, _build_rendezvous(job_name, service, resolved)),
    }


def build_list_pod(job_name: str, resolved: Resolved, settings: OperatorSettings) -> dict[str, Any]:
    """Return the spec of the pod that reads the handles of a TweetBotBatch."""
    return {**_build_conduct(settings), **_build_content(names.LIST_JOB, job_name, resolved, settings, ())}


def _build_conduct(settings: OperatorSettings) -> dict[str, Any]:
    """Return how every pod starts and ends."""
    pull_secrets = [{"name": name} for name in settings.images.pull_secrets]
    return {
        "restartPolicy": "Never",
        "serviceAccountName": settings.defaults.service_account_name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        **({"imagePullSecrets": pull_secrets} if pull_secrets else {}),
    }


def _build_content(
    kind: str, job_name: str, resolved: Resolved, settings: OperatorSettings, rendezvous: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return what runs in the pod: `tweetbot job <kind>`, with the ConfigMap of the Job's name as its manifest."""
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_build_container(kind, resolved, settings, rendezvous)],
        "volumes": _build_volumes(kind, job_name),
    }


def _build_deadline(bots: Sequence[TweetBot]) -> dict[str, int]:
    """Return what of the run's time is left, so that the node ends the pod even if the operator is away.

    One bot's limit must not end its neighbours in a batch: there only the operator watches it.
    """
    limit, run = bots[0].spec.active_deadline_seconds, bots[0].status.run
    if limit is None or run is None or len(bots) > 1:
        return {}
    return {"activeDeadlineSeconds": max(1, limit - run.active_seconds)}


def count_nodes(kind: names.JobKind, train: Resources) -> int:
    """Return how many pods the Job has."""
    return (train.nodes or 1) if kind == "train" else 1


def _build_rendezvous(job_name: str, service: str | None, resolved: Resolved) -> list[dict[str, Any]]:
    """Return what tells the processes of several pods where they meet; which of them a pod is, the Job tells it."""
    if service is None:
        return []
    return [
        {"name": names.ENV_NODES, "value": str(resolved.train.nodes)},
        {"name": names.ENV_MASTER_ADDRESS, "value": names.master_address(job_name, service)},
        {"name": names.ENV_MASTER_PORT, "value": str(names.MASTER_PORT)},
    ]


def _build_container(
    kind: str, resolved: Resolved, settings: OperatorSettings, rendezvous: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": names.CONTAINER,
        "image": settings.images.train if kind == "train" else settings.images.prepare,
        "imagePullPolicy": settings.images.pull_policy,
        "command": ["tweetbot", "job", kind],
        "env": [*_build_environment(kind, resolved), *rendezvous],
        "resources": _build_resources(kind, resolved.train, settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePath": names.TERMINATION_MESSAGE_PATH,
        # A trainer that dies without a word leaves the end of its log instead.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _build_mounts(kind),
    }


def _build_environment(kind: str, resolved: Resolved) -> list[dict[str, Any]]:
    environment: list[dict[str, Any]] = []
    if resolved.s3.credentials_secret:
        environment += [_build_secret_variable(key, resolved.s3.credentials_secret.name) for key in _S3_KEYS]
    if resolved.wandb_secret and kind in {"prepare", "train"}:
        environment.append(_build_secret_variable(names.ENV_WANDB_API_KEY, resolved.wandb_secret.name))
    if kind == "prepare" and resolved.x_secret:
        environment.append(_build_secret_variable(names.ENV_X_BEARER_TOKEN, resolved.x_secret.name))
    if kind == "train":
        if resolved.hugging_face:
            environment.append(_build_secret_variable(names.ENV_HF_TOKEN, resolved.hugging_face.token_secret.name))
        num_processes = max(1, resolved.train.gpus or 0)
        num_threads = max(1, count_threads(resolved.train.cpu or "1") // num_processes)
        environment.append({"name": "OMP_NUM_THREADS", "value": str(num_threads)})
        if num_processes > 1:
            environment.append({"name": names.ENV_PROCESSES, "value": str(num_processes)})
    return environment


def _build_secret_variable(name: str, secret: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}


def _build_resources(kind: str, train: Resources, settings: OperatorSettings) -> dict[str, Any]:
    """Return requests equal to limits: such a pod is the last to be evicted, and its memory is its own."""
    if kind != "train":
        prepare = settings.defaults.prepare
        amounts = {"cpu": prepare.cpu, "memory": prepare.memory}
    else:
        wanted = {"cpu": train.cpu, "memory": train.memory, names.GPU_RESOURCE: str(train.gpus or "")}
        amounts = {name: amount for name, amount in wanted.items() if amount}
    return {"requests": dict(amounts), "limits": dict(amounts)}


def _build_placement(train: Resources) -> dict[str, Any]:
    placement = {
        "nodeSelector": train.node_selector,
        "tolerations": [toleration.to_wire() for toleration in train.tolerations or ()],
        "priorityClassName": train.priority_class_name,
    }
    return {name: value for name, value in placement.items() if value}


def _build_mounts(kind: str) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": "run", "mountPath": names.MANIFEST_DIR, "readOnly": True},
        {"name": "token", "mountPath": names.TOKEN_DIR, "readOnly": True},
        {"name": "work", "mountPath": names.WORK_DIR},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]
    # The runtime's own /dev/shm has 64 MiB, too little for workers that share tensors.
    return mounts + ([{"name": "shm", "mountPath": "/dev/shm"}] if kind == "train" else [])  # noqa: S108


def _build_volumes(kind: str, config_map: str) -> list[dict[str, Any]]:
    token = {"path": names.TOKEN_FILE, "audience": names.TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS}
    volumes: list[dict[str, Any]] = [
        {"name": "run", "configMap": {"name": config_map}},
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "work", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return volumes + ([{"name": "shm", "emptyDir": {"medium": "Memory"}}] if kind == "train" else [])


def count_threads(cpu: str) -> int:
    """Return how many threads use a CPU quantity up: cores, rounded up."""
    number = re.match(r"[0-9.]+", cpu)
    cores = float(number[0]) if number else 1.0
    return max(1, math.ceil(cores / 1000 if cpu.endswith("m") else cores))
