"""What stands on the resource: each function returns the whole status of one situation, conditions included.

The conditions obey kstatus: `Ready` always, `Reconciling` only while something goes on, `Stalled` only while nothing
will until the spec changes, never both. Every status carries the generation that it was decided on.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from tweetbot_api import names
from tweetbot_api.conditions import ConditionType, Reason, drop_condition, set_condition
from tweetbot_api.messages import BotOutcome
from tweetbot_api.runconfig import S3Location
from tweetbot_api.status import Condition, Failure, Outputs, Phase, Run, TweetBotStatus
from tweetbot_api.types import ObjectMeta
from tweetbot_operator.observed import QueueWord
from tweetbot_operator.policies.verdict import Verdict

_LONGEST_MESSAGE = 4096
_MOST_SAMPLES, _LONGEST_SAMPLE = 3, 600
NO_RESULTS: Final[dict[str, Any]] = dict.fromkeys(
    ("data", "dataset", "evaluation", "outputs", "wandb", "samples", "failure", "progress", "stage")
)
"""The status fields of a run that has only begun."""

_STORED = Verdict(Reason.SUCCEEDED, "the model and its manifest are stored")


class Bot(Protocol):
    """What a status is made from; the spec may be unreadable."""

    @property
    def metadata(self) -> ObjectMeta:
        """Metadata of the TweetBot."""
        ...

    @property
    def status(self) -> TweetBotStatus:
        """Its present status."""
        ...


Flags = dict[ConditionType, bool]
"""The conditions that stand, and whether they hold."""
WORKING: Flags = {ConditionType.READY: False, ConditionType.RECONCILING: True}
STALLED: Flags = {ConditionType.READY: False, ConditionType.STALLED: True}
SUSPENDED: Flags = {ConditionType.READY: False, ConditionType.SUSPENDED: True}
COMPLETE: Flags = {ConditionType.READY: True, ConditionType.COMPLETE: True}
FAILED: Flags = {ConditionType.READY: False, ConditionType.STALLED: True, ConditionType.FAILED: True}


def started(bot: Bot, run: Run, now: datetime) -> TweetBotStatus:
    """Return the status of a new run: nothing of the former run's results is left."""
    verdict = Verdict(Reason.PENDING, f"run {run.number} is accepted")
    return working(bot, "Pending", verdict, now, run=run, **NO_RESULTS)


def repeated(bot: Bot, run: Run, now: datetime) -> TweetBotStatus:
    """Return the status of a run that the schedule starts: the former results stay until there are others."""
    verdict = Verdict(Reason.PENDING, f"run {run.number} is started by the schedule")
    return working(bot, "Pending", verdict, now, run=run, failure=None, progress=None, stage=None)


def unchanged(bot: Bot, run: Run, message: str, now: datetime) -> TweetBotStatus:
    """Return the status of a run that ended with the former model."""
    ended_run = run.model_copy(update={"completion_time": now, "unchanged": message})
    changes = {"run": ended_run, "failure": None, "stage": None}
    return _status(bot, "Succeeded", COMPLETE, Verdict(Reason.UNCHANGED, message), now, changes)


def working(bot: Bot, phase: Phase, verdict: Verdict, now: datetime, **changes: Any) -> TweetBotStatus:
    """Return the status of a run that goes on."""
    return _status(bot, phase, WORKING, verdict, now, changes)


def note_quota(bot: Bot, wanted: TweetBotStatus, word: QueueWord | None, now: datetime) -> TweetBotStatus:
    """Return the status with what the queue of the run's Job says."""
    if word is None:
        return wanted
    former = [item for item in bot.status.conditions if item.type == ConditionType.QUOTA_RESERVED]
    conditions = set_condition(
        [*wanted.conditions, *former],
        ConditionType.QUOTA_RESERVED,
        status=word.has_quota,
        reason=word.reason,
        message=word.message,
        generation=bot.metadata.generation,
        now=now,
    )
    return wanted.model_copy(update={"conditions": conditions})


def suspended(bot: Bot, verdict: Verdict, now: datetime) -> TweetBotStatus:
    """Return the status of a run that rests as the spec asks for, with no pod left."""
    return _status(bot, "Suspended", SUSPENDED, verdict, now, {"stage": None})


def stalled(bot: Bot, verdict: Verdict, now: datetime) -> TweetBotStatus:
    """Return the status of a bot that cannot be run until its spec changes."""
    return _status(bot, "Failed", STALLED, verdict, now, {"stage": None})


def completed(bot: Bot, run: Run, outcome: BotOutcome, output: S3Location, now: datetime) -> TweetBotStatus:
    """Return the status of a run whose manifest is stored."""
    status = bot.status
    hundred = status.progress.model_copy(update={"percent": 100, "eta_seconds": None}) if status.progress else None
    changes = {
        **take_results(status, outcome),
        "run": run.model_copy(update={"completion_time": now}),
        "outputs": _build_outputs(output, outcome),
        "progress": hundred,
        "failure": None,
        "stage": None,
    }
    return _status(bot, "Succeeded", COMPLETE, _STORED, now, changes)


def failed(bot: Bot, run: Run, failure: Failure, now: datetime) -> TweetBotStatus:
    """Return the status of a run that has failed for good."""
    changes = {
        "run": run.model_copy(update={"completion_time": now, "retry_time": None}),
        "failure": failure,
        "stage": None,
    }
    return _status(bot, "Failed", FAILED, Verdict(known_reason(failure), failure.message), now, changes)


def ended(bot: Bot, now: datetime) -> TweetBotStatus:
    """Return the status of a run that has ended: the same as ever, whatever the bot was edited to be meanwhile."""
    failure = bot.status.failure
    run = bot.status.run
    if run and run.unchanged:
        return _status(bot, "Succeeded", COMPLETE, Verdict(Reason.UNCHANGED, run.unchanged), now, {})
    if failure is None:
        return _status(bot, "Succeeded", COMPLETE, _STORED, now, {})
    return _status(bot, "Failed", FAILED, Verdict(known_reason(failure), failure.message), now, {})


def take_results(status: TweetBotStatus, outcome: BotOutcome) -> dict[str, Any]:
    """Return the status fields that an outcome fills; what it does not tell stays as it is."""
    samples = [sample[:_LONGEST_SAMPLE] for sample in (outcome.samples or [])[:_MOST_SAMPLES]]
    new_urls = {name: url for name, url in outcome.wandb or () if url is not None}
    wandb = status.wandb.model_copy(update=new_urls) if status.wandb else outcome.wandb
    return {
        "data": outcome.data or status.data,
        "dataset": outcome.dataset or status.dataset,
        "evaluation": outcome.evaluation or status.evaluation,
        "wandb": wandb if new_urls else status.wandb,
        "samples": samples or status.samples,
    }


def known_reason(failure: Failure) -> Reason:
    """Return the failure's reason; JobFailed for one that only a newer trainer knows."""
    return Reason(failure.reason) if failure.reason in set(Reason) else Reason.JOB_FAILED


def _build_outputs(output: S3Location, outcome: BotOutcome) -> Outputs:
    return Outputs(
        model_uri=f"{output.uri}/{names.MODEL_DIR}",
        card_uri=f"{output.uri}/{names.CARD}",
        predictions_uri=f"{output.uri}/{names.PREDICTIONS}",
        manifest_uri=f"{output.uri}/{names.OUTPUT_MANIFEST}",
        manifest_sha256=outcome.manifest_sha256 or "",
        hugging_face=outcome.hugging_face,
    )


def _status(
    bot: Bot, phase: Phase, flags: Flags, verdict: Verdict, now: datetime, changes: dict[str, Any]
) -> TweetBotStatus:
    return bot.status.model_copy(
        update={
            **changes,
            "observed_generation": bot.metadata.generation,
            "phase": phase,
            "conditions": build_conditions(bot.status.conditions, bot.metadata.generation, flags, verdict, now),
        }
    )


def build_conditions(
    present: Sequence[Condition], generation: int, flags: Flags, verdict: Verdict, now: datetime
) -> list[Condition]:
    """Return the conditions that the flags name, all with one verdict; any other is dropped."""
    conditions = list(present)
    for kind in ConditionType:
        if kind not in flags:
            conditions = drop_condition(conditions, kind)
            continue
        conditions = set_condition(
            conditions,
            kind,
            status=flags[kind],
            reason=verdict.reason,
            message=verdict.message[:_LONGEST_MESSAGE],
            generation=generation,
            now=now,
        )
    return conditions
