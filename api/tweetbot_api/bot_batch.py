"""The TweetBotBatch resource: one object that makes and follows many TweetBots, of one template and a list of handles.

Not to be mixed up with the batch of a Job, the bots that one Job works on. Nothing in the status grows with the number
of bots.
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from tweetbot_api.model import ApiModel, Time
from tweetbot_api.names import HANDLES_KEY
from tweetbot_api.spec.fields import KubernetesName, LabelValue, cel_rules
from tweetbot_api.spec.handles import Handle
from tweetbot_api.spec.source import ColumnName
from tweetbot_api.spec.tweetbot import Recipe
from tweetbot_api.status import Condition
from tweetbot_api.types import ObjectMeta

MOST_HANDLES = 10_000
MOST_FAILURES = 20
MOST_REASONS = 10
MOST_SKIPPED = 20

ONE_LIST = "give either handles or handlesFrom"
ONE_SOURCE_OF_HANDLES = "give either handlesFrom.configMap or handlesFrom.csv"
TEMPLATE_MAY_NOT_CHANGE = (
    "the template cannot change, for every bot would be trained again; make another TweetBotBatch, or edit single bots"
)
ONE_FILE_PER_BOT = (
    "the archive's uri must contain {handle}, for example s3://tweets/{handle}.zip, for each bot has its own"
)
NO_COMMON_REPOSITORY = (
    "every bot would push to the same repository: leave output.huggingFace out, and push from S3 the bots you want to"
)

AnnotationValue = Annotated[str, StringConstraints(max_length=1024)]
MetadataKey = Annotated[str, StringConstraints(max_length=317)]


class ConfigMapKey(ApiModel):
    """A key of a ConfigMap in the batch's own namespace."""

    name: KubernetesName
    """Name of the ConfigMap."""
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)] = HANDLES_KEY
    """Its key. The text has one handle in each line; empty lines, and what follows a `#`, are left out."""


class CsvFile(ApiModel):
    """A table with a column of handles, read by a Job in the batch's namespace."""

    uri: Annotated[str, StringConstraints(pattern=r"^s3://[^\s/]+/[^\s]+$", max_length=1024)]
    """Address of the file, `s3://bucket/key`, read with the credentials of `spec.template.spec.output.s3` or the
    platform's. Columns are parted by comma, tab, semicolon or bar; gzip is unpacked."""
    column: ColumnName = "handle"
    """Name of the column, in the table's first line."""
    revision: Annotated[str, StringConstraints(max_length=63)] | None = None
    """Change it to any new text to have the file read again."""


class HandlesFrom(ApiModel):
    """Where the list of handles lies, if it does not stand in the object."""

    config_map: ConfigMapKey | None = None
    """A ConfigMap, for example from `kubectl create configmap team --from-file=handles=team.txt`. Handles that are
    added to it later get their bots too."""

    csv: CsvFile | None = None
    """A CSV file in S3."""

    model_config = cel_rules(("has(self.configMap) != has(self.csv)", ONE_SOURCE_OF_HANDLES))

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.config_map is None) == (self.csv is None):
            raise ValueError(ONE_SOURCE_OF_HANDLES)
        return self


class TemplateMetadata(ApiModel):
    """Metadata that each bot gets."""

    labels: dict[MetadataKey, LabelValue] = Field(default={}, max_length=32)
    """Labels of each bot."""
    annotations: dict[MetadataKey, AnnotationValue] = Field(default={}, max_length=32)
    """Annotations of each bot."""


class BotTemplate(ApiModel):
    """What each bot of a batch is like."""

    metadata: TemplateMetadata = TemplateMetadata()
    """Labels and annotations of each bot."""
    spec: Recipe
    """The spec of each bot, but for its handle. `{handle}` in the source's address is replaced by it."""

    model_config = cel_rules(
        ("!has(self.spec.source.archive) || self.spec.source.archive.uri.contains('{handle}')", ONE_FILE_PER_BOT),
        ("!has(self.spec.output) || !has(self.spec.output.huggingFace)", NO_COMMON_REPOSITORY),
    )

    @model_validator(mode="after")
    def _suits_many(self) -> Self:
        if self.spec.source.archive and "{handle}" not in self.spec.source.archive.uri:
            raise ValueError(ONE_FILE_PER_BOT)
        if self.spec.output and self.spec.output.hugging_face:
            raise ValueError(NO_COMMON_REPOSITORY)
        return self


class TweetBotBatchSpec(ApiModel):
    """The bots that are wanted: one for each handle, all of one template."""

    handles: list[Handle] | None = Field(default=None, min_length=1, max_length=500)
    """The accounts, each of which gets a bot of its own. For more than a few hundred use handlesFrom."""
    handles_from: HandlesFrom | None = None
    """Where the list of accounts lies, for up to 10,000."""
    template: BotTemplate
    """What each bot is like. It cannot change."""
    parallelism: int = Field(default=256, ge=1, le=MOST_HANDLES)
    """Bots of the batch that are at work at the same time, at most: the next one is made when one has ended."""
    paused: bool = False
    """True makes no further bot; those that are at work go on."""
    retry_failed: Annotated[str, StringConstraints(max_length=63)] | None = None
    """Change it to any new text to have every bot that has failed trained again, once."""

    model_config = cel_rules(
        ("has(self.handles) != has(self.handlesFrom)", ONE_LIST),
        ("self.template == oldSelf.template", TEMPLATE_MAY_NOT_CHANGE),
    )

    @model_validator(mode="after")
    def _has_one_list(self) -> Self:
        if (self.handles is None) == (self.handles_from is None):
            raise ValueError(ONE_LIST)
        return self


class BotCounts(ApiModel):
    """How many bots are where. All but `total` add up to `total`."""

    total: int = 0
    """Different handles in the list."""
    waiting: int = 0
    """Not made, or not tried again, yet: as many as `spec.parallelism` allows are at work, or the batch is paused."""
    pending: int = 0
    """Made, and about to be started."""
    preparing: int = 0
    """Their posts are being fetched and cleaned."""
    queued: int = 0
    """Waiting for their queue."""
    training: int = 0
    """Training."""
    suspended: int = 0
    """Suspended by hand."""
    succeeded: int = 0
    """Ended well."""
    failed: int = 0
    """Ended without a model."""
    deleted: int = 0
    """Deleted by hand; they are not made again."""

    @property
    def ended(self) -> int:
        """Bots that will do no more by themselves."""
        return self.succeeded + self.failed + self.deleted


class Spread(ApiModel):
    """How the values of many bots are spread: nearest-rank percentiles."""

    p10: float
    """A tenth of the bots have at most this."""
    p50: float
    """Half of them."""
    p90: float
    """Nine tenths of them."""
    max: float
    """All of them."""


class BotFailure(ApiModel):
    """A bot that failed."""

    name: str
    """Name of the TweetBot."""
    reason: str
    """One CamelCase word; `docs/reasons.md` explains each with its remedy."""
    message: Annotated[str, StringConstraints(max_length=160)]
    """The beginning of the bot's own message."""


class ReasonCount(ApiModel):
    """How often a reason stands on failed bots."""

    reason: str
    """The reason."""
    bots: int
    """How many bots failed by it."""


class TweetBotBatchStatus(ApiModel):
    """What the operator saw of the bots. Its size does not grow with their number."""

    observed_generation: int = -1
    """The spec's generation that this status speaks of; -1 before the operator has seen the object."""
    phase: Literal["Pending", "Running", "Paused", "Succeeded", "Failed"] | None = None
    """Short form of the conditions, for people."""
    bots: BotCounts | None = None
    """How many bots are where."""
    percent: int | None = Field(default=None, ge=0, le=100)
    """Mean progress of all bots; one that has ended counts as 100."""
    seconds: Spread | None = None
    """From acceptance to the end, of the bots that ended well."""
    loss: Spread | None = None
    """Held-out loss after training, in nats per token, of the bots that ended well."""
    gpu_seconds: int = 0
    """Seconds of GPU held by the last run of each bot, added up."""
    failures: list[BotFailure] | None = Field(default=None, max_length=MOST_FAILURES)
    """The failed bots, in the order of the list; the first 20."""
    failure_reasons: list[ReasonCount] | None = Field(default=None, max_length=MOST_REASONS)
    """The most frequent reasons of failures, over all bots."""
    made: int = 0
    """How many handles, from the beginning of the list, have had their bot made: one that is gone was deleted, unless
    it stands in `skipped`."""
    made_hash: str | None = None
    """Hash of those handles, by which a list that was changed at its beginning is known."""
    skipped: list[str] | None = Field(default=None, max_length=MOST_SKIPPED)
    """Names among those that somebody else's TweetBots have: the batch makes its own once they are free. `made` does
    not go past a twenty-first."""
    start_time: Time | None = None
    """When the batch was accepted."""
    completion_time: Time | None = None
    """When its last bot ended."""
    conditions: list[Condition] = Field(default=[], max_length=16)
    """Ready, Reconciling and Stalled as kstatus reads them; Complete or Failed at the end."""

    model_config = ConfigDict(extra="ignore")


class TweetBotBatch(ApiModel):
    """Many bots of one template."""

    api_version: Literal["tweetbot.dev/v1alpha1"] = "tweetbot.dev/v1alpha1"
    """Version of this schema."""
    kind: Literal["TweetBotBatch"] = "TweetBotBatch"
    """Kind of the object."""
    metadata: ObjectMeta
    """Standard object metadata."""
    spec: TweetBotBatchSpec
    """The bots that are wanted."""
    status: TweetBotBatchStatus = TweetBotBatchStatus()
    """What the operator saw of the bots."""
