"""A whole run on one machine with a folder as the store: from a TweetBot file to a trained bot, without a cluster."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import ValidationError

from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.model import ApiModel
from tweetbot_api.names import JobKind
from tweetbot_api.problems import tell_problems
from tweetbot_api.runconfig import BotIdentity, HuggingFaceTarget, RunConfig, S3Location, WandbConfig
from tweetbot_api.source_access import SourceAccess
from tweetbot_api.spec.handles import normalize_handles
from tweetbot_api.spec.training import BaseModelReference
from tweetbot_api.types import TweetBot
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.progress import Reporter
from tweetbot_trainer.stages import load_stage
from tweetbot_trainer.tracking import open_tracker

_Model = TypeVar("_Model", bound=ApiModel)

DEFAULT_BASE_MODEL: Final = "gpt2"
RUN_FILE: Final = "run.json"
"""The resolved configuration, kept beside the results so that a folder never mixes two runs."""


def load_tweetbot(path: Path, prompts: Sequence[str] = ()) -> TweetBot:
    """Return the TweetBot in a YAML file, with other prompts if some are given.

    Raises InvalidSpec with the path of each wrong field.
    """
    return _validated(TweetBot, _with_prompts(_read_yaml(path), prompts), path)


def load_source_access(path: Path) -> SourceAccess:
    """Return the addresses and prices in a YAML file, with the fields of the chart's `sources`; raises InvalidSpec."""
    return _validated(SourceAccess, _read_yaml(path), path)


def run_config_of(bot: TweetBot, access: SourceAccess | None = None) -> RunConfig:
    """Return the run that the TweetBot asks for, with the defaults of the command line."""
    spec = bot.spec
    s3 = spec.output.s3 if spec.output and spec.output.s3 else None
    hub = spec.output.hugging_face if spec.output else None
    wandb = spec.tracking.wandb if spec.tracking and spec.tracking.wandb else None
    return RunConfig(
        bot=BotIdentity(
            namespace=bot.metadata.namespace,
            name=bot.metadata.name,
            uid=bot.metadata.uid or bot.metadata.name,
            run_id=bot.run_id,
            attempt=1,
        ),
        handles=normalize_handles(spec.handles),
        source=spec.source,
        access=access or SourceAccess(),
        raw_uri=_raw_dir().as_uri(),
        base_model=spec.base_model or BaseModelReference(name=DEFAULT_BASE_MODEL),
        cleaning=spec.cleaning,
        training=bot.recipe,
        generation=spec.generation,
        output=S3Location(
            bucket="local", prefix="", endpoint=s3.endpoint if s3 else None, region=s3.region if s3 else None
        ),
        wandb=WandbConfig(**wandb.model_dump(include={"mode", "project", "entity", "base_url"}, exclude_none=True))
        if wandb
        else WandbConfig(),
        hugging_face=HuggingFaceTarget(repo=hub.repo, private=hub.private) if hub else None,
    )


def run_half(config: RunConfig, kind: JobKind, output: Path, reporter: Reporter) -> BotOutcome:
    """Do one half of the run; raise TrainerError if it fails."""
    store = LocalStore(output)
    with tempfile.TemporaryDirectory(prefix="tweetbot-") as folder:
        tracker = open_tracker(config.wandb, config.bot, kind, Path(folder), store)
        try:
            return load_stage(kind)(config, store, reporter, tracker, Path(folder))
        except BaseException:
            tracker.finish(exit_code=1)
            raise
        finally:
            tracker.finish()


def claim_output(config: RunConfig, output: Path) -> None:
    """Note the run in the folder; raise InvalidSpec if the folder holds another run."""
    path = output / RUN_FILE
    if path.exists():
        found = json.loads(path.read_bytes())["bot"]["runId"]
        if found != config.bot.run_id:
            raise TrainerError(
                Reason.INVALID_SPEC, f"{output} holds another run ({found}); choose an empty folder as --output"
            )
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config.to_wire(), indent=2), encoding="utf-8")


def _raw_dir() -> Path:
    """Return the user's folder of answers that were paid for: all output folders share it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "tweetbot" / "raw"


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainerError(Reason.INVALID_SPEC, f"{path} cannot be read as YAML: {error}") from error


def _validated(model: type[_Model], document: Any, path: Path) -> _Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        message = "\n  ".join([f"{path} is not a valid {model.__name__}:", *tell_problems(error)])
        raise TrainerError(Reason.INVALID_SPEC, message) from error


def _with_prompts(document: Any, prompts: Sequence[str]) -> Any:
    """Return the document with these prompts in place of its own; anything else is left to the validation."""
    if not prompts or not isinstance(document, dict) or not isinstance(document.get("spec"), dict):
        return document
    spec = document["spec"]
    return {**document, "spec": {**spec, "generation": {**(spec.get("generation") or {}), "prompts": list(prompts)}}}
