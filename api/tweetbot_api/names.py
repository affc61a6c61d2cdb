"""Every name that one part of the system writes and another reads.

Labels, paths, object names, S3 keys and environment variables are declared here once; a test freezes them, because
renaming one breaks running bots.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final, Literal

GROUP: Final = "tweetbot.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "TweetBot"
PLURAL: Final = "tweetbots"
BATCH_KIND: Final = "TweetBotBatch"
BATCH_PLURAL: Final = "tweetbotbatches"

JobKind = Literal["prepare", "train", "purge"]
"""The two Jobs of a run, `prepare` (fetches and cleans without a GPU) and `train` (needs one), and `purge`, which
deletes all that a bot's runs have stored when the bot is deleted."""

# Labels and annotations
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "tweetbot-operator"
LABEL_JOB_KIND: Final = f"{GROUP}/job-kind"
LIST_JOB: Final = "list"
"""The value of that label on a Job that reads the handles of a TweetBotBatch."""
HANDLES_KEY: Final = "handles"
"""The key of a ConfigMap below which handles stand, one in each line."""
LABEL_RUN_PREFIX: Final = f"run.{GROUP}/"
"""On a Job, its pods and its ConfigMap, followed by a run id: a label for each run worked on, its attempt as value."""
LABEL_USER: Final = f"{GROUP}/user"
"""On a TweetBot: whose it is. Users of a namespace take turns in the batches of Jobs."""
LABEL_LIKENESS: Final = f"{GROUP}/likeness"
"""On a Job: a hash of what its bots have in common. Jobs that are alike wait for the same nodes."""
LABEL_BOT_BATCH: Final = f"{GROUP}/bot-batch"
"""On a TweetBot: the TweetBotBatch that made it."""
LABEL_QUEUE: Final = "kueue.x-k8s.io/queue-name"
LABEL_QUEUE_PRIORITY: Final = "kueue.x-k8s.io/priority-class"
LABEL_WORKLOAD_JOB: Final = "kueue.x-k8s.io/job-uid"
"""On a Workload of Kueue: the Job that it speaks of."""
ANNOTATION_RUNS: Final = f"{GROUP}/runs"
"""On a Job: `status.run` of each bot of its batch when it was made, to rebuild a status that was lost."""
ANNOTATION_SKIP_PURGE: Final = f"{GROUP}/skip-purge"
"""On a TweetBot, with the value `true`: let it be deleted although what it stored cannot be."""
FINALIZER: Final = f"{GROUP}/purge"
ANNOTATION_OPERATOR_VERSION: Final = f"{GROUP}/operator-version"
FIELD_MANAGER: Final = "tweetbot-operator"

# In the pod
CONTAINER: Final = "trainer"
MANIFEST_DIR: Final = "/etc/tweetbot/run"
MANIFEST_FILE: Final = "manifest.json"
CA_FILE: Final = "operator-ca.crt"
TOKEN_DIR: Final = "/var/run/secrets/tweetbot.dev"  # noqa: S105 - a folder, not a password
TOKEN_FILE: Final = "token"  # noqa: S105 - a file name, not a password
TOKEN_AUDIENCE: Final = "progress.tweetbot.dev"  # noqa: S105 - a public audience, not a password
WORK_DIR: Final = "/work"
TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"
TERMINATION_MESSAGE_LIMIT: Final = 4096
"""Bytes that the kubelet keeps of a termination message."""
GPU_RESOURCE: Final = "nvidia.com/gpu"

# Environment of the pod, filled from Secrets of the bot's namespace
ENV_S3_ACCESS_KEY: Final = "AWS_ACCESS_KEY_ID"
ENV_S3_SECRET_KEY: Final = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a variable's name
ENV_WANDB_API_KEY: Final = "WANDB_API_KEY"
ENV_HF_TOKEN: Final = "HF_TOKEN"  # noqa: S105 - a variable's name
ENV_X_BEARER_TOKEN: Final = "X_BEARER_TOKEN"  # noqa: S105 - a variable's name

# Environment of the train pod, in torchrun's own names (its flags, prefixed with PET_)
ENV_PROCESSES: Final = "PET_NPROC_PER_NODE"
"""Processes that train together in one pod, one for each GPU."""
ENV_NODES: Final = "PET_NNODES"
"""Pods that train together."""
ENV_NODE_RANK: Final = "PET_NODE_RANK"
"""This pod's place among them, from 0."""
ENV_MASTER_ADDRESS: Final = "PET_MASTER_ADDR"
"""Host name of the first pod."""
ENV_MASTER_PORT: Final = "PET_MASTER_PORT"
"""Port on the first pod where the processes meet."""
MASTER_PORT: Final = 29400
"""That port, torchrun's own."""

# The operator's server
PROGRESS_PATH: Final = "/v1/progress"
RESULT_PATH: Final = "/v1/result"
HANDLES_PATH: Final = "/v1/handles"

# Files of one run, relative to its prefix in S3
DATASET_POSTS: Final = "dataset/posts.jsonl"
DATASET_INFO: Final = "dataset/dataset.json"
DATASET_AVATARS: Final = "dataset/avatars"
"""Folder of the accounts' pictures as the source gave them, one file per handle."""
MODEL_DIR: Final = "model"
CARD: Final = "model/README.md"
CARD_FACTS: Final = "card.json"
"""What the card tells, so that `tweetbot card` can write it anew."""
PREDICTIONS: Final = "predictions.png"
LOSS_CURVE: Final = "loss.png"
METRICS: Final = "metrics.jsonl"
CHECKPOINTS_DIR: Final = "checkpoints"
SAMPLES: Final = "samples.json"
WANDB_DIR: Final = "wandb"
HUB_PUSH: Final = "huggingface.json"
OUTPUT_MANIFEST: Final = "manifest.json"

RAW_DIR: Final = "_raw"
"""Beside the bots of a namespace: answers that were paid for, kept for all its bots. No bot's name begins so."""

END_OF_TEXT: Final = "<|endoftext|>"
"""Separator of posts in huggingtweets' training text, whatever the base model's own token is."""

_NAME_IN_JOB = 36
_HANDLE_IN_NAME = 40
_PLAIN_HANDLE = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{10}")


def run_prefix(prefix: str, namespace: str, name: str, run_id: str) -> str:
    """Return the key prefix of one run in the bucket, without slashes at its ends."""
    return "/".join(part for part in (prefix.strip("/"), namespace, name, run_id) if part)


def raw_prefix(prefix: str, namespace: str) -> str:
    """Return the key prefix below which a namespace keeps what its bots' sources were paid for."""
    return "/".join(part for part in (prefix.strip("/"), namespace, RAW_DIR) if part)


def job_name(bot: str, run_id: str, kind: JobKind, attempt: int) -> str:
    """Return the name of the Job (and its ConfigMap) of one attempt, never used twice.

    At most 63 characters, with the index that a pod of several has behind it in its host name. The run id is part of
    it, so two bots whose long names begin alike cannot meet.
    """
    return f"{bot[:_NAME_IN_JOB].rstrip('-.').replace('.', '-')}-{run_id}-{kind}-{attempt}"


def shared_job_name(kind: JobKind, attempts: Sequence[str]) -> str:
    """Return the name of a Job (and its ConfigMap) that works on several bots, told by their Jobs' own names.

    An attempt is assigned to one Job only, so no other set of attempts has this name.
    """
    return f"tweetbots-{len(attempts)}-{digest(*sorted(attempts))}-{kind}"


def run_label(run_id: str) -> str:
    """Return the label that a run's Jobs and pods carry."""
    return f"{LABEL_RUN_PREFIX}{run_id}"


def service_name(run_id: str, attempt: int) -> str:
    """Return the name of the headless Service by which the pods of one attempt find each other.

    It begins with a letter, as a Service's must and a bot's need not.
    """
    return f"train-{run_id}-{attempt}"


def master_address(job: str, service: str) -> str:
    """Return the host name that the first pod of a Job keeps, as the other pods find it."""
    return f"{job}-0.{service}"


def batch_bot_name(batch: str, handle: str) -> str:
    """Return the name of the bot that a TweetBotBatch makes for a handle (lower case, without `@`).

    No two pairs of batch and handle share one. `<batch>-<handle>` where that is plain to tell apart; else the handle
    is written as far as a name may be, and a digest tells the rest. A plain handle has no hyphen and is no digest.
    """
    if _PLAIN_HANDLE.fullmatch(handle) and not _DIGEST.fullmatch(handle):
        return f"{batch}-{handle}"
    readable = "-".join(re.findall(r"[a-z0-9]+", handle))[:_HANDLE_IN_NAME].rstrip("-")
    return "-".join(part for part in (batch, readable, digest(batch, handle)) if part)


def list_job_name(batch: str, list_id: str) -> str:
    """Return the name of the Job that reads a TweetBotBatch's handles from a file, and of its ConfigMap."""
    return f"{batch[:_NAME_IN_JOB].rstrip('-.').replace('.', '-')}-{list_id}-list"


def handles_config_map(job: str) -> str:
    """Return the name of the ConfigMap that holds the handles which that Job has read."""
    return f"{job}-handles"


def attempt_log(kind: JobKind, attempt: int) -> str:
    """Return the key, below the run's prefix, of the log of one attempt."""
    return f"logs/{kind}-{attempt}.txt"


def model_name(handles: Sequence[str]) -> str:
    """Return the model's name as huggingtweets forms it: the sorted handles joined by a hyphen."""
    return "-".join(sorted(handles))


def digest(*parts: str, length: int = 10) -> str:
    """Return the first hexadecimal digits of a SHA-256 over the parts, kept apart by a NUL."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]
