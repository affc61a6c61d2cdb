"""The whole of what a user writes in a TweetBot, and the rules between its parts."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from tweetbot_api.model import ApiModel
from tweetbot_api.spec.cleaning import Cleaning
from tweetbot_api.spec.fields import cel_rules
from tweetbot_api.spec.generation import Generation
from tweetbot_api.spec.handles import (
    BLUESKY_HANDLE,
    HANDLES_OF_BLUESKY,
    HANDLES_OF_X,
    X_HANDLE,
    Handle,
    find_handle_problem,
    normalize_handles,
)
from tweetbot_api.spec.output import Output, Tracking
from tweetbot_api.spec.resources import Resources
from tweetbot_api.spec.source import Source
from tweetbot_api.spec.training import BaseModelReference, Training

OUTPUT_MAY_NOT_MOVE = (
    "output.s3.bucket, prefix and endpoint cannot change under deletionPolicy Delete, for what is stored would be left "
    "behind; set deletionPolicy: Retain, or make another TweetBot"
)
HANDLES_DIFFER = "handles must differ from each other; remove the repeated one"
ONE_FILE_PER_HANDLE = (
    "with several handles the archive's uri must contain {handle}, for example s3://tweets/{handle}.zip"
)


class Schedule(ApiModel):
    """Training the bot again from time to time, if there is something new to learn."""

    cron: Annotated[str, StringConstraints(min_length=9, max_length=100)]
    """When, as five cron fields in UTC: `0 3 * * 1` is each Monday at 3. A time that passes while a run goes on, or
    while the bot is suspended, is made up for once."""
    min_new_posts: int = Field(default=1, ge=1, le=1_000_000)
    """Kept posts that the last model has not learned from, at least; with fewer, the run ends after prepare with the
    reason Unchanged, the former model stays, and no GPU is asked for."""


class _Accounts(ApiModel):
    """Whose posts are learned from."""

    handles: list[Handle] = Field(min_length=1, max_length=3)
    """One to three accounts, with or without `@`, as their source names them: `jack` on X, `alice.bsky.social` on
    Bluesky, `ada` on a Mastodon server. Several make a "cyborg" that learns equally from each."""


class Recipe(ApiModel):
    """How a bot is made, whoever it writes like."""

    source: Source
    """Where the posts come from."""
    base_model: BaseModelReference | None = None
    """The pretrained model. Without it, the operator's default (`gpt2`)."""
    cleaning: Cleaning = Cleaning()
    """Which posts are learned from, and what is changed in them."""
    training: Training = Training()
    """The fine-tuning recipe."""
    generation: Generation = Generation()
    """How the bot writes."""
    resources: Resources | None = None
    """What the train Job asks of the cluster."""
    output: Output | None = None
    """Where the results go."""
    tracking: Tracking | None = None
    """Where metrics are sent."""
    schedule: Schedule | None = None
    """When the bot is trained again by itself. Without it, only when its spec changes."""
    max_attempts: int = Field(default=3, ge=1, le=20)
    """How often each Job of a run is tried before the run fails. Attempts that were stopped from outside (drained,
    preempted, evicted, deleted) do not count; the platform's settings limit those."""
    active_deadline_seconds: int | None = Field(default=None, ge=1, le=31_536_000)
    """Seconds for which the pods of a run may hold their nodes, both Jobs and all attempts together; then the run
    fails. Time in a queue, suspended or between attempts is free. Without it, no limit."""
    ttl_seconds_after_finished: int | None = Field(default=None, ge=0, le=31_536_000)
    """Seconds after which the Jobs (with pods and ConfigMaps) of a run that has ended are removed. The status, and what
    is stored in S3, stay. Without it, the operator's default."""


class TweetBotSpec(Recipe, _Accounts):
    """The bot that is wanted: whose posts, which base model, how to train, where to store it."""

    run_id: Annotated[str, StringConstraints(max_length=63)] | None = Field(default=None, alias="runID")
    """Change it to any new text to have an unchanged bot trained again."""
    suspend: bool = False
    """True stops the run: its pod is asked to save a checkpoint and ends, and nothing is made until it is false again;
    then the same run goes on. It counts neither as an attempt nor as a preemption."""

    model_config = cel_rules(
        (
            " || ".join(
                (
                    "self.?output.?deletionPolicy.orValue('') != 'Delete'",
                    "oldSelf.?output.?deletionPolicy.orValue('') != 'Delete'",
                    "["
                    + ", ".join(f"self.?output.?s3.?{name}.orValue('')" for name in ("bucket", "prefix", "endpoint"))
                    + "] == ["
                    + ", ".join(f"oldSelf.?output.?s3.?{name}.orValue('')" for name in ("bucket", "prefix", "endpoint"))
                    + "]",
                )
            ),
            OUTPUT_MAY_NOT_MOVE,
        ),
        (
            (
                "self.handles.map(h, h.replace('@', '').lowerAscii())"
                ".all(h, self.handles.exists_one(o, o.replace('@', '').lowerAscii() == h))"
            ),
            HANDLES_DIFFER,
        ),
        (
            ("self.handles.size() == 1 || !has(self.source.archive) || self.source.archive.uri.contains('{handle}')"),
            ONE_FILE_PER_HANDLE,
        ),
        (f"!has(self.source.x) || self.handles.all(h, h.matches(r'{X_HANDLE}'))", HANDLES_OF_X),
        (f"!has(self.source.bluesky) || self.handles.all(h, h.matches(r'{BLUESKY_HANDLE}'))", HANDLES_OF_BLUESKY),
    )

    @model_validator(mode="after")
    def _names_each_handle_once(self) -> Self:
        if len(normalize_handles(self.handles)) < len(self.handles):
            raise ValueError(HANDLES_DIFFER)
        if len(self.handles) > 1 and self.source.archive and "{handle}" not in self.source.archive.uri:
            raise ValueError(ONE_FILE_PER_HANDLE)
        return self

    @model_validator(mode="after")
    def _names_handles_as_their_source_does(self) -> Self:
        for problem in (find_handle_problem(handle, self.source) for handle in self.handles):
            if problem:
                raise ValueError(problem)
        return self
