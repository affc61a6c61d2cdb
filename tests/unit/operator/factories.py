"""Small objects for tests: a bot, its Jobs, its pods. Each takes only what the test is about."""

from datetime import UTC, datetime
from typing import Any

from tweetbot_api import names
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import JobKind
from tweetbot_api.status import Dataset, Evaluation, Failure, HandleCounts, TweetBotStatus
from tweetbot_api.termination import encode_termination
from tweetbot_api.types import TweetBot
from tweetbot_operator.settings import OperatorSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Document = dict[str, Any]


def make_tweetbot(name: str = "ann", *, status: TweetBotStatus | None = None, **spec: Any) -> TweetBot:
    """Return a bot; keywords are fields of its spec, as a user writes them."""
    document = make_tweetbot_document(name, **spec)
    bot = TweetBot.model_validate(document)
    return bot if status is None else bot.model_copy(update={"status": status})


def make_tweetbot_document(name: str = "ann", **spec: Any) -> Document:
    """Return a bot as the apiserver sends it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-of-{name}",
            "generation": 1,
            "resourceVersion": "1",
        },
        "spec": {"handles": [name], "source": {"archive": {"uri": f"s3://tweets/{name}.zip"}}, **spec},
        "status": {"observedGeneration": -1},
    }


def make_job(bot: TweetBot, *, state: str = "active", message: str = "") -> Document:
    """Return the Job of the bot's current attempt, as the apiserver sends it."""
    run = bot.status.run
    assert run
    types = {"succeeded": "Complete", "failed": "Failed"}
    conditions = [{"type": types[state], "status": "True", "message": message}] if state in types else []
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": run.job_name,
            "namespace": bot.metadata.namespace,
            "uid": f"uid-of-{run.job_name}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-11-23T11:58:00Z",
            "labels": make_labels(bot),
            "ownerReferences": [{"kind": names.KIND, "name": bot.metadata.name, "uid": bot.metadata.uid}],
        },
        "spec": {"suspend": state == "suspended"},
        "status": {"conditions": conditions},
    }


def make_pod(
    bot: TweetBot,
    *,
    outcome: BotOutcome | None = None,
    exit_code: int | None = None,
    terminated_reason: str = "Completed",
    waiting: str | None = None,
    message: str = "",
    unschedulable: str | None = None,
    disrupted: bool = False,
    evicted: str | None = None,
    name: str | None = None,
    created: str = "2026-11-23T11:58:00Z",
) -> Document:
    """Return a pod of the bot's current Job: running, unless it says that it waits or has ended."""
    run = bot.status.run
    assert run
    name = name or f"{run.job_name}-x"
    state: Document = {"running": {"startedAt": "2026-11-23T11:59:00Z"}}
    phase = "Running"
    if exit_code is not None:
        text = encode_termination([outcome]) if outcome else message
        times = {"startedAt": "2026-11-23T11:59:00Z", "finishedAt": "2026-11-23T11:59:30Z"}
        state = {"terminated": {"exitCode": exit_code, "reason": terminated_reason, "message": text, **times}}
        phase = "Failed" if exit_code else "Succeeded"
    if waiting or unschedulable:
        state, phase = {"waiting": {"reason": waiting, "message": message}}, "Pending"
    conditions = [{"type": "DisruptionTarget", "status": "True"}] if disrupted or evicted else []
    times: Document = {} if unschedulable else {"startTime": "2026-11-23T11:59:00Z"}
    ended = {"reason": "Evicted", "message": evicted} if evicted else {}
    if unschedulable:
        reason = {"reason": "Unschedulable", "message": unschedulable}
        conditions.append({"type": "PodScheduled", "status": "False", **reason})
    statuses = [] if unschedulable else [{"name": names.CONTAINER, "state": state}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": bot.metadata.namespace,
            "uid": f"uid-of-{name}",
            "resourceVersion": "1",
            "creationTimestamp": created,
            "labels": make_labels(bot) | {"batch.kubernetes.io/job-name": run.job_name},
            "ownerReferences": [{"kind": "Job", "name": run.job_name, "uid": f"uid-of-{run.job_name}"}],
        },
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": statuses, **times, **ended},
    }


def make_labels(bot: TweetBot) -> dict[str, str]:
    """Return the labels of the bot's current Job and its pods."""
    run = bot.status.run
    assert run
    return {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_JOB_KIND: run.job_kind,
        names.run_label(run.id): str(run.attempt),
    }


def make_outcome(kind: JobKind = "prepare", **changes: Any) -> BotOutcome:
    """Return the outcome of a Job that went well."""
    counts = HandleCounts(handle="ann", downloaded=10, retweets=3, short=2, kept=5)
    prepared = BotOutcome(data=[counts], dataset=Dataset(characters=9000, tokens=2000, sha256="d" * 64))
    trained = BotOutcome(
        evaluation=Evaluation(loss=3.0, perplexity=20.1), manifest_sha256="a" * 64, samples=["My dream is sleep"]
    )
    return (prepared if kind == "prepare" else trained).model_copy(update=changes)


def make_failure(reason: str, exit_code: int | None = None, message: str = "it went wrong") -> BotOutcome:
    """Return the outcome of a Job that failed."""
    return BotOutcome(failure=Failure(reason=reason, message=message, exit_code=exit_code))


def make_settings(**changes: Any) -> OperatorSettings:
    """Return the platform team's settings; keywords are fields of the settings file."""
    document = {
        "images": {"prepare": "registry.test/prepare:1", "train": "registry.test/train:1"},
        "server": {"url": "https://operator.tweetbot.svc:8443"},
        "defaults": {"s3": {"bucket": "models"}},
        "batching": {"maxBots": 1},
        **changes,
    }
    return OperatorSettings.model_validate(document)
