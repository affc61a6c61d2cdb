"""What the trainer tells the operator: progress while it works, one result per bot at its end.

Both are POSTed as JSON. A result is also left in the pod's termination message (at most 4 KiB), so that it is known
even if the operator was away for good: `encode_termination` gives up details, longest first, until all bots fit.
"""

import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, ValidationError

from tweetbot_api.model import ApiModel
from tweetbot_api.names import TERMINATION_MESSAGE_LIMIT, JobKind
from tweetbot_api.runconfig import BotIdentity
from tweetbot_api.status import Dataset, Evaluation, Failure, HandleCounts, Progress, Stage, WandbRuns


class ProgressMessage(ApiModel):
    """One bot is this far. The newest wins; losing one harms nothing."""

    bot: BotIdentity
    """Whom it is about."""
    job_kind: JobKind
    """Which Job speaks."""
    stage: Stage
    """What it is doing."""
    progress: Progress
    """How far it is, over the whole run."""


class BotOutcome(ApiModel):
    """How one bot's Job ended."""

    data: list[HandleCounts] | None = None
    """The data table (prepare)."""
    dataset: Dataset | None = None
    """The prepared posts (prepare)."""
    evaluation: Evaluation | None = None
    """Held-out loss (train)."""
    manifest_sha256: str | None = Field(default=None, alias="manifestSHA256")
    """Hash of the output manifest (train); present only after it is stored in S3."""
    wandb: WandbRuns | None = None
    """Addresses of W&B runs, when online."""
    samples: list[str] | None = None
    """Up to three posts by the bot (train)."""
    failure: Failure | None = None
    """Why it failed; None for a success."""


class ResultMessage(ApiModel):
    """One bot's Job ended, well or not. Sent again until the operator says that it is stored."""

    bot: BotIdentity
    """Whom it is about."""
    job_kind: JobKind
    """Which Job speaks."""
    outcome: BotOutcome
    """How it ended."""


class TerminationMessage(ApiModel):
    """How all bots of a Job ended, in the order of the run manifest."""

    schema_version: Literal[1] = 1
    """Changes when an older operator could not read it."""
    outcomes: list[BotOutcome]
    """One per bot."""


_SHORTENED_IN_TURN: tuple[tuple[frozenset[str], int], ...] = (
    (frozenset(), 4096),
    (frozenset({"samples"}), 4096),
    (frozenset({"samples", "wandb", "logTail"}), 1024),
    (frozenset({"samples", "wandb", "logTail", "displayName"}), 80),
)
"""Keys to leave out and characters to keep of each text, until the message is short enough."""


def encode_termination(outcomes: Sequence[BotOutcome], limit: int = TERMINATION_MESSAGE_LIMIT) -> str:
    """Return the JSON of all outcomes with as much detail as fits into `limit` bytes.

    Raises ValueError if even the shortest form is too long: the caller batched more bots than the channel carries.
    """
    wire = TerminationMessage(outcomes=list(outcomes)).to_wire()
    for dropped, longest in _SHORTENED_IN_TURN:
        text = json.dumps(_shorten(wire, dropped, longest), separators=(",", ":"), ensure_ascii=False)
        if len(text.encode()) <= limit:
            return text
    raise ValueError(f"{len(outcomes)} results do not fit into {limit} bytes; use a smaller batch")


def decode_termination(text: str) -> TerminationMessage | None:
    """Return the outcomes in a termination message, or None if it is not one (a crash leaves log lines there)."""
    try:
        return TerminationMessage.model_validate_json(text)
    except ValidationError:
        return None


def _shorten(value: object, dropped: frozenset[str], longest: int) -> object:
    """Return the JSON value without the keys to drop and with its texts cut, at any depth."""
    if isinstance(value, dict):
        return {key: _shorten(item, dropped, longest) for key, item in value.items() if key not in dropped}
    if isinstance(value, list):
        return [_shorten(item, dropped, longest) for item in value]
    return value[:longest] if isinstance(value, str) else value
