"""What the trainer tells the operator: progress while it works, one result per bot at its end.

Both are POSTed as JSON. `termination` holds the results once more, in the pod's termination message.
"""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from tweetbot_api.bot_batch import MOST_HANDLES
from tweetbot_api.model import ApiModel
from tweetbot_api.names import JobKind
from tweetbot_api.runconfig import BatchIdentity, BotIdentity
from tweetbot_api.status import (
    Dataset,
    Evaluation,
    Failure,
    HandleCounts,
    HuggingFaceModel,
    Progress,
    Stage,
    WandbRuns,
)

LONGEST_CELL: Final = 130
"""Characters of one cell that are handed over; no handle is as long."""


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


class Unchanged(ApiModel):
    """There is too little that the former model has not learned from."""

    new_posts: int = Field(ge=0, le=10**9)
    """Kept posts that are not in the former dataset."""


class Purged(ApiModel):
    """What a purge has deleted, counted by the store's own lists, which are empty now."""

    versions: int = Field(ge=0)
    """Versions of objects and delete markers; without versioning, objects."""
    uploads: int = Field(ge=0)
    """Unfinished multipart uploads."""


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
    hugging_face: HuggingFaceModel | None = None
    """The model on the Hugging Face Hub, or why it is not there (train)."""
    samples: list[str] | None = None
    """Up to three posts by the bot (train)."""
    unchanged: Unchanged | None = None
    """Why a scheduled run needs no training (prepare)."""
    purged: Purged | None = None
    """What was deleted (purge)."""
    failure: Failure | None = None
    """Why it failed; None for a success."""


class HandlesMessage(ApiModel):
    """The handles that a Job has read for a TweetBotBatch. Sent again until the operator says that they are stored."""

    batch: BatchIdentity
    """Whom it is about."""
    job_name: str
    """The Job that has read them."""
    handles: list[Annotated[str, StringConstraints(max_length=LONGEST_CELL)]] = Field(max_length=MOST_HANDLES)
    """The column's cells as they stand in the file, empty ones left out, in their order."""


class ResultMessage(ApiModel):
    """One bot's Job ended, well or not. Sent again until the operator says that it is stored."""

    bot: BotIdentity
    """Whom it is about."""
    job_kind: JobKind
    """Which Job speaks."""
    outcome: BotOutcome
    """How it ended."""
