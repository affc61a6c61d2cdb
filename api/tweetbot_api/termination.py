"""The pod's termination message: how each bot of a Job ended, in the 4 KiB that the kubelet keeps.

It makes a result known even if the operator was away for good. Version 1 is the outcomes as JSON; details are given up,
longest first, until all bots fit. Version 2 holds what decides, and is for the batches that version 1 cannot carry:
64 bots always fit. One text per bot, in the order of the run manifest:

`m<hash> <loss> <base loss>`
  trained; SHA-256 of the output manifest, and both held-out losses to four digits where there are any
`d<hash> <characters> <tokens>`
  prepared; SHA-256 of the stored posts
`f<exit code> <reason> <message>`
  failed; `-` for no exit code, the message cut to what fits
`u<new posts>`
  unchanged since the former run; too few new posts to train again
`n`
  nothing that the operator waits for

A hash is whole: its 32 bytes as 40 characters of base 85 (`base64.b85encode`), all of which JSON leaves as they are.
"""

import base64
import json
import math
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import ValidationError

from tweetbot_api.messages import BotOutcome, Unchanged
from tweetbot_api.model import ApiModel
from tweetbot_api.names import TERMINATION_MESSAGE_LIMIT
from tweetbot_api.status import Dataset, Evaluation, Failure


class TerminationMessage(ApiModel):
    """How all bots of a Job ended, in the order of the run manifest."""

    schema_version: Literal[1] = 1
    """Changes when an older operator could not read it."""
    outcomes: list[BotOutcome]
    """One per bot."""


class CompactTerminationMessage(ApiModel):
    """The same in the form for large batches."""

    schema_version: Literal[2] = 2
    """Tells this form from the other."""
    bots: list[str]
    """One per bot, as the module describes."""


_SHORTENED_IN_TURN: Final[tuple[tuple[frozenset[str], int], ...]] = (
    (frozenset(), 4096),
    (frozenset({"samples"}), 4096),
    (frozenset({"samples", "wandb", "logTail"}), 1024),
    (frozenset({"samples", "wandb", "logTail", "displayName"}), 80),
)
"""Keys to leave out and characters to keep of each text, until the message is short enough."""
_MESSAGES_IN_TURN: Final = (240, 120, 60, 30, 15, 0)
"""Characters to keep of each failure's message in the compact form."""
_LONGEST_REASON: Final = 40
_LARGEST_LOSS: Final = 100.0
_LEAST_LOSS: Final = 1e-4
_HASH_BYTES: Final = 32


def encode_termination(outcomes: Sequence[BotOutcome], limit: int = TERMINATION_MESSAGE_LIMIT) -> str:
    """Return all outcomes with as much detail as fits into `limit` bytes.

    Raises ValueError if even the shortest form is too long: the caller batched more bots than the channel carries.
    """
    wire = TerminationMessage(outcomes=list(outcomes)).to_wire()
    for dropped, longest in _SHORTENED_IN_TURN:
        text = _to_json(_shorten(wire, dropped, longest))
        if len(text.encode()) <= limit:
            return text
    for longest in _MESSAGES_IN_TURN:
        bots = [_compact(outcome, longest) for outcome in outcomes]
        text = _to_json(CompactTerminationMessage(bots=bots).to_wire())
        if len(text.encode()) <= limit:
            return text
    raise ValueError(f"{len(outcomes)} results do not fit into {limit} bytes; use a smaller batch")


def decode_termination(text: str) -> list[BotOutcome] | None:
    """Return the outcomes in a termination message, or None if it is not one (a crash leaves log lines there)."""
    try:
        return TerminationMessage.model_validate_json(text).outcomes
    except ValidationError:
        pass
    try:
        return [_expand(bot) for bot in CompactTerminationMessage.model_validate_json(text).bots]
    except ValueError:
        return None


def _to_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _shorten(value: object, dropped: frozenset[str], longest: int) -> object:
    """Return the JSON value without the keys to drop and with its texts cut, at any depth."""
    if isinstance(value, dict):
        return {key: _shorten(item, dropped, longest) for key, item in value.items() if key not in dropped}
    if isinstance(value, list):
        return [_shorten(item, dropped, longest) for item in value]
    return value[:longest] if isinstance(value, str) else value


def _compact(outcome: BotOutcome, longest_message: int) -> str:
    """Return what decides of an outcome. A failure comes first: what failed must never be taken for a success."""
    if failure := outcome.failure:
        code = "-" if failure.exit_code is None else failure.exit_code
        return f"f{code} {failure.reason[:_LONGEST_REASON]} {failure.message[:longest_message]}".rstrip(" ")
    if outcome.manifest_sha256:
        losses = (outcome.evaluation.loss, outcome.evaluation.base_loss) if outcome.evaluation else ()
        return " ".join(
            [f"m{_pack(outcome.manifest_sha256)}", *(_write_loss(loss) for loss in losses if loss is not None)]
        )
    if unchanged := outcome.unchanged:
        return f"u{unchanged.new_posts}"
    if dataset := outcome.dataset:
        return f"d{_pack(dataset.sha256)} {dataset.characters} {dataset.tokens}"
    return "n"


def _write_loss(loss: float) -> str:
    """Return the loss to four digits; one that is as good as nothing is nothing, for its exponent would take room."""
    return f"{loss:.4g}" if loss >= _LEAST_LOSS else "0"


def _expand(text: str) -> BotOutcome:
    """Return the outcome that a compact text stands for; raise ValueError if it is none."""
    kind, rest = text[:1], text[1:]
    match kind:
        case "f":
            code, reason, message = [*rest.split(" ", 2), "", ""][:3]
            return BotOutcome(
                failure=Failure(reason=reason, message=message, exit_code=None if code == "-" else int(code))
            )
        case "m":
            sha256, *losses = rest.split(" ")
            return BotOutcome(manifest_sha256=_unpack(sha256), evaluation=_evaluation([float(loss) for loss in losses]))
        case "d":
            sha256, characters, tokens = rest.split(" ")
            return BotOutcome(dataset=Dataset(characters=int(characters), tokens=int(tokens), sha256=_unpack(sha256)))
        case "u":
            return BotOutcome(unchanged=Unchanged(new_posts=int(rest)))
        case "n":
            return BotOutcome()
    raise ValueError(f"a bot's result begins with m, d, u, f or n, not with {kind!r}")


def _evaluation(losses: Sequence[float]) -> Evaluation | None:
    if not losses:
        return None
    if not all(map(math.isfinite, losses)):
        raise ValueError("a loss is a finite number")
    loss, *base = losses
    return Evaluation(
        loss=loss,
        perplexity=_perplexity(loss),
        base_loss=base[0] if base else None,
        base_perplexity=_perplexity(base[0]) if base else None,
    )


def _perplexity(loss: float) -> float:
    return round(math.exp(min(loss, _LARGEST_LOSS)), 2)


def _pack(sha256: str) -> str:
    return base64.b85encode(bytes.fromhex(sha256)).decode()


def _unpack(text: str) -> str:
    data = base64.b85decode(text)
    if len(data) != _HASH_BYTES:
        raise ValueError(f"a hash has {_HASH_BYTES} bytes, not {len(data)}")
    return data.hex()
