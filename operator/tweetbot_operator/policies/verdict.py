"""What a policy answers: a reason and the sentence that goes with it, together."""

from dataclasses import dataclass

from tweetbot_api.conditions import Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why something is as it is."""

    reason: Reason
    message: str
