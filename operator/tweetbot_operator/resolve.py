"""A bot's spec joined with the platform's defaults: what a run uses, field by field. Pure; nothing is written back."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from tweetbot_api.names import OUTPUT_MANIFEST, raw_prefix, run_prefix
from tweetbot_api.runconfig import BotIdentity, FormerRun, HuggingFaceTarget, RunConfig, S3Location, WandbConfig
from tweetbot_api.spec.fields import SecretReference
from tweetbot_api.spec.handles import normalize_handles
from tweetbot_api.spec.output import HuggingFaceOutput, S3Output, WandbTracking
from tweetbot_api.spec.resources import Resources
from tweetbot_api.spec.training import BaseModelReference
from tweetbot_api.types import TweetBot
from tweetbot_operator.settings import OperatorSettings

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What the spec asks for, with the platform's defaults filled in."""

    base_model: BaseModelReference
    s3: S3Output
    wandb: WandbTracking
    hugging_face: HuggingFaceOutput | None
    train: Resources
    x_secret: SecretReference | None

    @property
    def wandb_secret(self) -> SecretReference | None:
        """The Secret that W&B needs, if it is used online."""
        return self.wandb.api_key_secret if self.wandb.mode == "online" else None


def resolve(bot: TweetBot, settings: OperatorSettings) -> Resolved:
    """Return the bot's wishes over the platform's defaults."""
    spec, defaults = bot.spec, settings.defaults
    return Resolved(
        base_model=spec.base_model or defaults.base_model,
        s3=_merge(defaults.s3, spec.output.s3 if spec.output else None),
        wandb=_merge(defaults.wandb, spec.tracking.wandb if spec.tracking else None),
        hugging_face=spec.output.hugging_face if spec.output else None,
        train=_merge(defaults.train, spec.resources),
        x_secret=spec.source.x.credentials_secret if spec.source.x else None,
    )


def resolve_run(bot: TweetBot, settings: OperatorSettings) -> RunConfig:
    """Return everything that the trainer needs to know of one valid bot's current attempt."""
    run = bot.status.run
    assert run, "a Job is made only for a run that stands in status"  # noqa: S101 - make_plan sees to it
    resolved = resolve(bot, settings)
    is_purge = run.job_kind == "purge"
    return RunConfig(
        bot=BotIdentity(
            namespace=bot.metadata.namespace,
            name=bot.metadata.name,
            uid=bot.metadata.uid,
            run_id=run.id,
            attempt=run.attempt,
        ),
        handles=normalize_handles(bot.spec.handles),
        source=bot.spec.source,
        access=settings.sources,
        raw_uri=f"s3://{resolved.s3.bucket}/{raw_prefix(resolved.s3.prefix or '', bot.metadata.namespace)}",
        base_model=resolved.base_model,
        cleaning=bot.spec.cleaning,
        training=bot.recipe,
        generation=bot.spec.generation,
        output=locate_folder(bot, settings) if is_purge else locate_output(bot, settings),
        former=_find_former(bot),
        wandb=WandbConfig() if is_purge else _build_wandb(resolved.wandb),
        hugging_face=None if is_purge else _build_hugging_face(resolved.hugging_face),
    )


def locate_output(bot: TweetBot, settings: OperatorSettings) -> S3Location:
    """Return the bucket and the prefix of the bot's run."""
    return _locate(bot, settings, bot.run_id)


def locate_folder(bot: TweetBot, settings: OperatorSettings) -> S3Location:
    """Return the bucket and the prefix below which all runs of the bot lie."""
    return _locate(bot, settings, "")


def _locate(bot: TweetBot, settings: OperatorSettings, run_id: str) -> S3Location:
    s3 = resolve(bot, settings).s3
    return S3Location(
        bucket=s3.bucket or "",
        prefix=run_prefix(s3.prefix or "", bot.metadata.namespace, bot.metadata.name, run_id),
        endpoint=s3.endpoint,
        region=s3.region,
        checksums=s3.checksums,
        encryption=s3.encryption,
    )


def _find_former(bot: TweetBot) -> FormerRun | None:
    """Return what a scheduled run is compared with: the run of the model that stands in status."""
    run, outputs, schedule = bot.status.run, bot.status.outputs, bot.spec.schedule
    if run is None or run.scheduled_time is None or run.job_kind != "prepare" or not (outputs and schedule):
        return None
    uri = outputs.manifest_uri.removesuffix(f"/{OUTPUT_MANIFEST}")
    return FormerRun(uri=uri, min_new_posts=schedule.min_new_posts)


def _build_wandb(wandb: WandbTracking) -> WandbConfig:
    given = wandb.model_dump(include={"mode", "project", "entity", "base_url"}, exclude_none=True)
    return WandbConfig.model_validate(given)


def _build_hugging_face(hugging_face: HuggingFaceOutput | None) -> HuggingFaceTarget | None:
    return HuggingFaceTarget(repo=hugging_face.repo, private=hugging_face.private) if hugging_face else None


def _merge(defaults: _Model, wishes: _Model | None) -> _Model:
    """Return the defaults with every field replaced that the wishes give."""
    if wishes is None:
        return defaults
    return defaults.model_copy(update={name: value for name, value in wishes if value is not None})
