"""Failures that a trainer can name.

TrainerError
  the one exception that stages raise on purpose; its reason decides exit code and remedy
  (`tweetbot_api.conditions.EXPLANATIONS`). Anything else that escapes is a bug and becomes InternalError.
"""

from tweetbot_api.conditions import EXPLANATIONS, Reason
from tweetbot_api.exitcodes import ExitCode


class TrainerError(Exception):
    """A failure with a reason from the contract and a message that names what to fix."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def exit_code(self) -> ExitCode:
        """The exit code that stands for the reason; transient where the contract names none."""
        return EXPLANATIONS[self.reason].exit_code or ExitCode.TRANSIENT
