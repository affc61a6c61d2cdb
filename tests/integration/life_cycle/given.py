"""The states that a bot is brought to before anything happens to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.integration.api import wait_for
from tests.integration.life_cycle.bot import Bot
from tests.unit.operator.factories import make_failure, make_outcome

IN_QUEUE: dict[str, Any] = {"resources": {"queueName": "bots"}}
ALONE: dict[str, Any] = {"resources": {"gpus": 2}}
"""What trains on several GPUs has a train Job of its own."""
BAD_SOURCE: dict[str, Any] = {"source": {"archive": {"uri": "file:///ann.zip"}}}
GOOD_SOURCE: dict[str, Any] = {"source": {"archive": {"uri": "s3://tweets/ann.zip"}}}


def _nothing(_: Bot) -> None:
    return


@dataclass(frozen=True)
class Given:
    path: str
    """The phases that the bot has been through."""
    reach: Callable[[Bot], None] = _nothing
    before: Callable[[Bot], None] = _nothing
    """What is so before the bot is made."""
    spec: dict[str, Any] = field(default_factory=dict)


def make_ben(bot: Bot) -> None:
    """Make another bot that is alike."""
    bot.api.create_bot(bot.namespace, "ben", **bot.spec)


def _allow_no_job(bot: Bot) -> None:
    quotas = f"/api/v1/namespaces/{bot.namespace}/resourcequotas"
    spec = {"hard": {"count/jobs.batch": "0"}}
    bot.api.call("POST", quotas, {"kind": "ResourceQuota", "metadata": {"name": "no-jobs"}, "spec": spec})
    wait_for(lambda: "hard" in bot.api.call("GET", f"{quotas}/no-jobs").get("status", {}))


def _kill_operator(bot: Bot) -> None:
    bot.operator.kill()


def _make_ben_unseen(bot: Bot) -> None:
    bot.operator.kill()
    make_ben(bot)


def make_operator_mortal(bot: Bot) -> None:
    """Let the operator die of the next Job that it makes for the bot."""
    bot.operator.die_of(f"/{bot.namespace}/jobs")


def _refuse(bot: Bot) -> None:
    bot.api.wait_for_status(bot.namespace, lambda status: "exceeded quota" in str(status.get("conditions")))


def _stall(bot: Bot) -> None:
    bot.reach("Failed", "InvalidSpec")


def _prepare(bot: Bot) -> None:
    bot.reach_job("prepare-1")


def _prepare_with_ben(bot: Bot) -> None:
    bot.operator.revive()
    _prepare(bot)


def _train(bot: Bot) -> None:
    bot.end("prepare-1", make_outcome("prepare"))
    bot.api.start_pod(bot.reach_job("train-1"))


def _queue(bot: Bot) -> None:
    bot.end("prepare-1", make_outcome("prepare"))
    bot.reach("Queued")


def _admit(bot: Bot) -> None:
    _queue(bot)
    bot.api.suspend_job(bot.job_path, value=False)
    bot.api.start_pod(bot.reach_job("train-1"))
    bot.reach("Training")


def _succeed(bot: Bot) -> None:
    _train(bot)
    bot.end("train-1", make_outcome("train"))
    bot.reach("Succeeded")
    bot.wait_for_ended_jobs()


def _fail(bot: Bot) -> None:
    bot.end("prepare-1", make_failure("TooLittleText", 65), exit_code=65)
    bot.reach("Failed")


def _rest(bot: Bot) -> None:
    bot.reach("Suspended", "Suspended")


def _suspended(given: Given) -> Given:
    def reach(bot: Bot) -> None:
        given.reach(bot)
        bot.edit(suspend=True)
        _rest(bot)

    return Given(f"{given.path} > Suspended", reach, given.before, given.spec)


def _begin_to_suspend(bot: Bot) -> None:
    _train(bot)
    bot.api.keep_pod(bot.reach_job("train-1"))
    bot.edit(suspend=True)
    bot.reach("Suspended", "Suspending")


NEW = Given("")
LOST = Given("Pending", lambda bot: bot.operator.wait_for_death(), make_operator_mortal)
"""The operator has made the Job, and died before it could say so."""
UNSEEN = Given("", before=_kill_operator)
"""Made while the operator is away."""
NEW_BESIDE_BEN = Given("", lambda bot: bot.operator.revive(), _make_ben_unseen)
"""Made with `ben` while the operator is away; both are seen at once."""
REFUSED = Given("Pending", _refuse, _allow_no_job)
STALLED = Given("Failed", _stall, spec=BAD_SOURCE)
RESTING = Given("Pending > Suspended", _rest, spec={"suspend": True})
PREPARING = Given("Pending > Preparing", _prepare)
PREPARING_WITH_BEN = Given("Preparing", _prepare_with_ben, _make_ben_unseen)
TRAINING = Given("Pending > Preparing > Pending > Training", _train)
QUEUED = Given("Pending > Preparing > Pending > Queued", _queue, spec=IN_QUEUE)
ADMITTED = Given("Pending > Preparing > Pending > Queued > Training", _admit, spec=IN_QUEUE)
SUCCEEDED = Given("Pending > Preparing > Pending > Training > Succeeded", _succeed)
FAILED = Given("Pending > Preparing > Failed", _fail)
SUSPENDED_FROM_PREPARING = _suspended(PREPARING)
SUSPENDED_FROM_QUEUE = _suspended(QUEUED)
SUSPENDED = _suspended(TRAINING)
SUSPENDING = Given("Pending > Preparing > Pending > Training > Suspended", _begin_to_suspend)
"""The pod of the attempt that was given up still stops."""
