"""Can this bot be run at all? What the schema cannot know: what is outside the spec, or only wrong in a cluster."""

from collections.abc import Callable

from tweetbot_api.conditions import Reason
from tweetbot_api.types import TweetBot
from tweetbot_operator.policies.schedule import is_cron
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.resolve import Resolved, resolve
from tweetbot_operator.settings import OperatorSettings

Check = Callable[[TweetBot, Resolved], str | None]
_LOCAL = "file:"
_S3 = "s3://"


def validate(bot: TweetBot, settings: OperatorSettings) -> Verdict | None:
    """Return the first thing that is wrong with the spec, or None if it can be run."""
    resolved = resolve(bot, settings)
    for check in CHECKS:
        message = check(bot, resolved)
        if message:
            return Verdict(Reason.INVALID_SPEC, message)
    return None


def _check_source(bot: TweetBot, _: Resolved) -> str | None:
    source = bot.spec.source
    for index, uri in enumerate(source.uris):
        field = f"spec.source.{source.kind}.{f'also[{index - 1}]' if index else 'uri'}"
        if uri.startswith(_LOCAL):
            return f"{field}: a pod cannot read {uri}, a file of your machine; upload it and give its s3:// address"
        bucket, _slash, key = uri.removeprefix(_S3).partition("/")
        if not (bucket and key):
            return f"{field}: {uri} lacks a bucket or a key; write s3://bucket/key"
    return None


def _check_base_model(_: TweetBot, resolved: Resolved) -> str | None:
    name = resolved.base_model.name
    if name.startswith(_LOCAL):
        return f"spec.baseModel.name: a pod cannot read {name}; give a name on the Hub or an s3:// prefix"
    if name.startswith(_S3) and not name.removeprefix(_S3).partition("/")[2].strip("/"):
        return f"spec.baseModel.name: {name} lacks a prefix; write s3://bucket/prefix"
    return None


def _check_bucket(_: TweetBot, resolved: Resolved) -> str | None:
    if resolved.s3.bucket:
        return None
    return "spec.output.s3.bucket: give a bucket for the results, for the operator's settings name none"


def _check_prefix(_: TweetBot, resolved: Resolved) -> str | None:
    if ".." in (resolved.s3.prefix or "").split("/"):
        return "spec.output.s3.prefix: remove '..', the results stay below the prefix"
    return None


def _check_wandb(_: TweetBot, resolved: Resolved) -> str | None:
    if resolved.wandb.mode != "online" or resolved.wandb.api_key_secret:
        return None
    return (
        "spec.tracking.wandb.apiKeySecret: mode online needs a Secret with the key WANDB_API_KEY; "
        "name it, or set mode to offline or disabled"
    )


def _check_schedule(bot: TweetBot, _: Resolved) -> str | None:
    schedule = bot.spec.schedule
    if schedule is None or is_cron(schedule.cron):
        return None
    return f"spec.schedule.cron: {schedule.cron!r} is not five cron fields; write for example '0 3 * * 1'"


CHECKS: tuple[Check, ...] = (
    _check_source,
    _check_base_model,
    _check_bucket,
    _check_prefix,
    _check_wandb,
    _check_schedule,
)
"""In the order in which they are reported."""
