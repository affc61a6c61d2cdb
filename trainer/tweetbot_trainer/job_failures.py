"""How a bot that is not finished is told of, in the words of the contract, and what that means for its Job."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode, is_retryable
from tweetbot_api.messages import BotOutcome
from tweetbot_api.status import Failure
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.interruption import SIGTERM_EXIT_CODE
from tweetbot_trainer.job_log import log_tail

logger = logging.getLogger(__name__)

_MESSAGE_CHARACTERS: Final = 1024


def failure_of(error: Exception, log_file: Path) -> Failure:
    """Log what went wrong and put it into the words of the contract."""
    match error:
        case TrainerError():
            logger.error("bot failed reason=%s message=%s", error.reason, error.message)
            reason, message, code = error.reason, error.message, error.exit_code
        case MemoryError():
            logger.error("bot failed reason=%s", Reason.OUT_OF_MEMORY, exc_info=error)
            reason, message, code = Reason.OUT_OF_MEMORY, "the process ran out of memory", ExitCode.TRANSIENT
        case _:
            logger.error("bot failed reason=%s", Reason.INTERNAL_ERROR, exc_info=error)
            reason, message, code = Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}", ExitCode.TRANSIENT
    return Failure(
        reason=reason,
        message=message[:_MESSAGE_CHARACTERS],
        exit_code=code,
        log_tail=log_tail(log_file),
    )


def interrupted(log_file: Path, *, has_checkpoint: bool) -> Failure:
    """Return the end of a bot that was not done."""
    so_far = "; a checkpoint is stored, from which the next attempt goes on" if has_checkpoint else ""
    return Failure(
        reason=Reason.INTERRUPTED,
        message=f"the pod was stopped before the bot was done{so_far}",
        exit_code=ExitCode.STOPPED_WITH_CHECKPOINT if has_checkpoint else SIGTERM_EXIT_CODE,
        log_tail=log_tail(log_file),
    )


def exit_code(outcomes: Sequence[BotOutcome]) -> int:
    """Return 0 if all went well, else a code after which another attempt may help, else the first failure's."""
    codes = [outcome.failure.exit_code or ExitCode.TRANSIENT for outcome in outcomes if outcome.failure]
    return next((code for code in codes if is_retryable(code)), codes[0] if codes else ExitCode.OK)


def may_end_better(outcome: BotOutcome) -> bool:
    """Tell whether the bot failed in a way that another attempt may mend."""
    return outcome.failure is not None and is_retryable(outcome.failure.exit_code or ExitCode.TRANSIENT)
