"""Names that running bots, dashboards and scripts rely on: whoever changes one changes it here, knowingly."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetbot_api import names
from tweetbot_api.spec.handles import normalize_handles

FROZEN = {
    "GROUP": "tweetbot.dev",
    "VERSION": "v1alpha1",
    "API_VERSION": "tweetbot.dev/v1alpha1",
    "KIND": "TweetBot",
    "PLURAL": "tweetbots",
    "BATCH_KIND": "TweetBotBatch",
    "BATCH_PLURAL": "tweetbotbatches",
    "LABEL_MANAGED_BY": "app.kubernetes.io/managed-by",
    "MANAGED_BY": "tweetbot-operator",
    "LABEL_JOB_KIND": "tweetbot.dev/job-kind",
    "LIST_JOB": "list",
    "HANDLES_KEY": "handles",
    "LABEL_RUN_PREFIX": "run.tweetbot.dev/",
    "LABEL_USER": "tweetbot.dev/user",
    "LABEL_LIKENESS": "tweetbot.dev/likeness",
    "LABEL_BOT_BATCH": "tweetbot.dev/bot-batch",
    "LABEL_QUEUE": "kueue.x-k8s.io/queue-name",
    "LABEL_QUEUE_PRIORITY": "kueue.x-k8s.io/priority-class",
    "LABEL_WORKLOAD_JOB": "kueue.x-k8s.io/job-uid",
    "ANNOTATION_RUNS": "tweetbot.dev/runs",
    "ANNOTATION_SKIP_PURGE": "tweetbot.dev/skip-purge",
    "FINALIZER": "tweetbot.dev/purge",
    "ANNOTATION_OPERATOR_VERSION": "tweetbot.dev/operator-version",
    "FIELD_MANAGER": "tweetbot-operator",
    "CONTAINER": "trainer",
    "MANIFEST_DIR": "/etc/tweetbot/run",
    "MANIFEST_FILE": "manifest.json",
    "CA_FILE": "operator-ca.crt",
    "TOKEN_DIR": "/var/run/secrets/tweetbot.dev",
    "TOKEN_FILE": "token",
    "TOKEN_AUDIENCE": "progress.tweetbot.dev",
    "WORK_DIR": "/work",
    "TERMINATION_MESSAGE_PATH": "/dev/termination-log",
    "TERMINATION_MESSAGE_LIMIT": 4096,
    "GPU_RESOURCE": "nvidia.com/gpu",
    "ENV_S3_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "ENV_S3_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
    "ENV_WANDB_API_KEY": "WANDB_API_KEY",
    "ENV_HF_TOKEN": "HF_TOKEN",
    "ENV_PROCESSES": "PET_NPROC_PER_NODE",
    "ENV_NODES": "PET_NNODES",
    "ENV_NODE_RANK": "PET_NODE_RANK",
    "ENV_MASTER_ADDRESS": "PET_MASTER_ADDR",
    "ENV_MASTER_PORT": "PET_MASTER_PORT",
    "MASTER_PORT": 29400,
    "ENV_X_BEARER_TOKEN": "X_BEARER_TOKEN",
    "PROGRESS_PATH": "/v1/progress",
    "RESULT_PATH": "/v1/result",
    "HANDLES_PATH": "/v1/handles",
    "DATASET_POSTS": "dataset/posts.jsonl",
    "DATASET_INFO": "dataset/dataset.json",
    "DATASET_AVATARS": "dataset/avatars",
    "MODEL_DIR": "model",
    "CARD": "model/README.md",
    "CARD_FACTS": "card.json",
    "PREDICTIONS": "predictions.png",
    "LOSS_CURVE": "loss.png",
    "METRICS": "metrics.jsonl",
    "CHECKPOINTS_DIR": "checkpoints",
    "SAMPLES": "samples.json",
    "WANDB_DIR": "wandb",
    "HUB_PUSH": "huggingface.json",
    "OUTPUT_MANIFEST": "manifest.json",
    "RAW_DIR": "_raw",
    "END_OF_TEXT": "<|endoftext|>",
}
bot_names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True)
run_ids = st.from_regex(r"[0-9a-f]{10}", fullmatch=True)


def test_no_name_changed_came_or_went() -> None:
    constants = {name: value for name, value in vars(names).items() if name.isupper() and not name.startswith("_")}
    assert constants == FROZEN


def test_a_runs_folder_names_bucket_prefix_namespace_bot_and_run() -> None:
    assert names.run_prefix("team/bots", "ns", "ada", "0123456789") == "team/bots/ns/ada/0123456789"
    assert names.run_prefix("/team/", "ns", "ada", "0123456789") == "team/ns/ada/0123456789"
    assert names.run_prefix("", "ns", "ada", "0123456789") == "ns/ada/0123456789"


def test_what_was_paid_for_lies_beside_the_bots_of_a_namespace() -> None:
    assert names.raw_prefix("/team/", "ns") == "team/ns/_raw"
    assert names.raw_prefix("", "ns") == "ns/_raw"


def test_a_jobs_name_tells_bot_run_kind_and_attempt() -> None:
    assert names.job_name("ada", "0123456789", "train", 2) == "ada-0123456789-train-2"
    assert names.job_name("ada.lovelace", "0123456789", "prepare", 1) == "ada-lovelace-0123456789-prepare-1"


@given(bot_names, run_ids, st.sampled_from(["prepare", "train"]), st.integers(1, 9999))
def test_the_host_name_of_every_jobs_last_pod_is_a_dns_label(
    bot: str, run_id: str, kind: names.JobKind, attempt: int
) -> None:
    host = f"{names.job_name(bot, run_id, kind, attempt)}-31"
    assert len(host) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", host)


@given(run_ids, st.integers(1, 9999))
def test_the_name_by_which_pods_find_each_other_begins_with_a_letter(run_id: str, attempt: int) -> None:
    service = names.service_name(run_id, attempt)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", service)
    assert len(service) <= 63
    assert names.master_address("ada-0123456789-train-1", service) == f"ada-0123456789-train-1-0.{service}"


def test_bots_whose_long_names_begin_alike_have_jobs_of_their_own() -> None:
    first, second = (names.job_name("a" * 60 + end, names.digest(end), "train", 1) for end in "xy")
    assert first != second


def test_a_bot_of_a_batch_is_named_after_batch_and_handle() -> None:
    assert names.batch_bot_name("team", "ann") == "team-ann"
    assert names.batch_bot_name("team", "alice.bsky.social") == "team-alice.bsky.social"
    assert names.batch_bot_name("team", "ann_lee") == "team-ann-lee-" + names.digest("team", "ann_lee")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("team", "a-b"), ("team-a", "b")),
        (("team", "a_b"), ("team", "a-b")),
        (("team", "a.b"), ("team", "a-b")),
        (("team", "_a"), ("team", "a")),
        (("team", "a" * 60 + "_x"), ("team", "a" * 60 + "_y")),
        (("team", "a-b"), ("team-a-b", names.digest("team", "a-b"))),
    ],
)
def test_bots_of_batches_never_share_a_name(first: tuple[str, str], second: tuple[str, str]) -> None:
    assert names.batch_bot_name(*first) != names.batch_bot_name(*second)


@given(
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]{1,9})?", fullmatch=True).filter(
        lambda s: len(s) < 64
    ),
    st.from_regex(r"[a-z0-9_]([a-z0-9_.-]{0,127}[a-z0-9_])?", fullmatch=True),
)
def test_every_name_of_a_batchs_bot_is_a_dns_name(batch: str, handle: str) -> None:
    name = names.batch_bot_name(batch, handle)
    assert len(name) <= 253
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", label) for label in name.split("."))


def test_a_models_name_does_not_depend_on_the_order_of_handles() -> None:
    assert names.model_name(["grace", "ada"]) == names.model_name(["ada", "grace"]) == "ada-grace"


def test_a_digest_keeps_its_parts_apart_and_never_changes() -> None:
    assert names.digest("ab", "c") != names.digest("a", "bc")
    assert names.digest("uid", "{}") == "4b44f139e6"


def test_handles_are_told_apart_as_x_does() -> None:
    assert normalize_handles(["@Ada", "ada", "Grace"]) == ["ada", "grace"]
