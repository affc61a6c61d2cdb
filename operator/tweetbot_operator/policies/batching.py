"""Which bots share a Job? Those that are alike, in turns between users, up to a size that one pod can take.

A bot whose attempt fails is tried again in less company: whatever ended a whole pod is alone in the end, and its
neighbours are done by then.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tweetbot_api import names
from tweetbot_api.names import JobKind
from tweetbot_api.status import Dataset
from tweetbot_api.types import TweetBot
from tweetbot_operator.observed import Key
from tweetbot_operator.resolve import resolve
from tweetbot_operator.settings import Batching, OperatorSettings

CALM_SECONDS = 1.0
"""Bots that are applied together come within this time of one another."""
_HASH_LENGTH = 16
_LESS_COMPANY = 8
"""Each failure divides by this how many bots may share the next Job."""


@dataclass(frozen=True, slots=True)
class Group:
    """Bots that may share a Job; Jobs of different groups have nothing to do with each other."""

    namespace: str
    kind: JobKind
    most: int
    """How many may share one Job."""
    likeness: str
    """Hash of all that they must have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An attempt that waits for a Job."""

    bot: Key
    group: Group
    job_name: str
    """The name of its Job if it gets one of its own."""
    user: str
    tokens: int
    """Tokens to be trained on; 0 before they are counted."""
    accepted: datetime
    """When its run was accepted."""
    is_preparing: bool
    """Whether it still counts among those that a prepare Job works on."""


def may_share(bot: TweetBot, kind: JobKind, failed_attempts: int, settings: OperatorSettings) -> bool:
    """Tell whether this attempt waits for others to share a Job with."""
    return _most(bot, kind, failed_attempts, settings) > 1


def build_candidate(
    bot: TweetBot,
    kind: JobKind,
    attempt: int,
    failed_attempts: int,
    dataset: Dataset | None,
    settings: OperatorSettings,
    now: datetime,
) -> Candidate:
    """Return what the choice of a batch needs to know of an attempt."""
    key = Key.of(bot.metadata)
    run = bot.status.run
    tokens = dataset.tokens * bot.spec.training.epochs if dataset and kind == "train" else 0
    return Candidate(
        bot=key,
        group=Group(
            namespace=key.namespace,
            kind=kind,
            most=_most(bot, kind, failed_attempts, settings),
            likeness=hash_likeness(bot, kind, settings),
        ),
        job_name=names.job_name(bot.metadata.name, bot.run_id, kind, attempt),
        user=bot.metadata.labels.get(names.LABEL_USER, ""),
        tokens=tokens,
        accepted=run.start_time if run and run.id == bot.run_id else now,
        is_preparing=bot.status.phase == "Preparing",
    )


def hash_likeness(bot: TweetBot, kind: JobKind, settings: OperatorSettings) -> str:
    """Return a hash of all that bots must have in common with this one to share its Job."""
    text = json.dumps(_describe_likeness(bot, kind, settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def choose_batches(candidates: Sequence[Candidate], limits: Batching) -> list[list[Candidate]]:
    """Return all candidates of one group in batches; each but the last has no room for the one that follows."""
    batches: list[list[Candidate]] = []
    tokens = 0
    for candidate in take_turns(candidates):
        has_room = bool(batches) and len(batches[-1]) < candidate.group.most
        if not has_room or tokens + candidate.tokens > limits.max_tokens:
            batches.append([])
            tokens = 0
        batches[-1].append(candidate)
        tokens += candidate.tokens
    return batches


def is_full(batch: Sequence[Candidate], limits: Batching) -> bool:
    """Tell whether waiting would bring nobody else into this batch."""
    return len(batch) >= batch[0].group.most or sum(item.tokens for item in batch) >= limits.max_tokens


def is_time(kind: JobKind, since: Sequence[float], now: float, limits: Batching, *, are_others_expected: bool) -> bool:
    """Tell whether those who wait go without others; `since` is when each of them began to, in seconds.

    A prepare Job is cheap, so its bots do not wait long. A train Job holds its GPU for half a minute before the first
    step, so bots that are prepared one after the other wait for one another for as long as they keep coming.
    """
    waited, calm = now - min(since), now - max(since)
    moment = min(CALM_SECONDS, limits.window_seconds)
    if kind == "prepare":
        return calm >= moment or waited >= limits.window_seconds
    patience = limits.window_seconds if are_others_expected else moment
    return calm >= patience or waited >= limits.max_wait_seconds


def take_turns(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates in the order of their acceptance, one of each user in turn."""
    places: dict[str, int] = defaultdict(int)
    ordered = []
    for candidate in sorted(candidates, key=lambda item: (item.accepted, item.bot)):
        ordered.append((places[candidate.user], candidate))
        places[candidate.user] += 1
    return [candidate for _, candidate in sorted(ordered, key=lambda item: item[0])]


def _most(bot: TweetBot, kind: JobKind, failed_attempts: int, settings: OperatorSettings) -> int:
    train = resolve(bot, settings).train
    if kind == "purge" or (kind == "train" and ((train.gpus or 0) > 1 or (train.nodes or 1) > 1)):
        return 1
    divisor: int = _LESS_COMPANY ** min(failed_attempts, 3)
    return max(1, settings.batching.max_bots // divisor)


def _describe_likeness(bot: TweetBot, kind: JobKind, settings: OperatorSettings) -> dict[str, object]:
    """Return what is the pod's and not the bot's: whoever differs in it needs another pod."""
    resolved = resolve(bot, settings)
    secrets = [resolved.s3.credentials_secret, resolved.wandb_secret]
    if kind == "prepare":
        # A source that is slow to answer must not hold up posts that are at hand.
        source = sorted(bot.spec.source.model_dump(exclude_none=True))
        return {"secrets": _name_all([*secrets, resolved.x_secret]), "source": source}
    hub_secret = resolved.hugging_face.token_secret if resolved.hugging_face else None
    recipe = bot.spec.training
    return {
        "secrets": _name_all([*secrets, hub_secret]),
        "resources": resolved.train.to_wire(),
        "base model": resolved.base_model.to_wire(),
        "recipe": recipe.model_dump(
            mode="json", include={"method", "precision", "block_size", "weight_decay", "deepspeed", "early_stopping"}
        ),
    }


def _name_all(secrets: Sequence[object]) -> list[str | None]:
    return [getattr(secret, "name", None) for secret in secrets]
