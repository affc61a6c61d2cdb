"""The run manifest: what the operator hands to a Job, as one versioned JSON document in a ConfigMap.

A Job works on a list of bots; a batch of one is the simplest case. It holds no secret: credentials reach the pod as
environment variables from Secrets of the bot's namespace.
"""

from typing import Literal

from pydantic import Field

from tweetbot_api.model import ApiModel
from tweetbot_api.names import JobKind
from tweetbot_api.source_access import SourceAccess
from tweetbot_api.spec.cleaning import Cleaning
from tweetbot_api.spec.generation import Generation
from tweetbot_api.spec.output import S3Encryption
from tweetbot_api.spec.source import Source
from tweetbot_api.spec.training import BaseModelReference, Training


class S3Location(ApiModel):
    """A bucket and how to reach it."""

    bucket: str
    """Name of the bucket."""
    prefix: str
    """Key prefix of this run, without slashes at its ends."""
    endpoint: str | None = None
    """Address of an S3-compatible store; None for AWS."""
    region: str | None = None
    """Region of the bucket."""
    checksums: Literal["when_supported", "when_required"] | None = None
    """As in the spec."""
    encryption: S3Encryption | None = None
    """As in the spec."""

    @property
    def uri(self) -> str:
        """The prefix as an `s3://` address."""
        return f"s3://{self.bucket}/{self.prefix}"


class WandbConfig(ApiModel):
    """Where the W&B runs go."""

    mode: Literal["online", "offline", "disabled"] = "disabled"
    """As in the spec."""
    project: str = "huggingtweets"
    """Project of the runs."""
    entity: str | None = None
    """Owner of the project."""
    base_url: str | None = Field(default=None, alias="baseURL")
    """Address of the server; None for wandb.ai."""


class HuggingFaceTarget(ApiModel):
    """The repository on the Hugging Face Hub that the model is pushed to; its token is in the environment."""

    repo: str
    """Owner and name."""
    private: bool = True
    """Whether a repository that has to be made is private."""


class BotIdentity(ApiModel):
    """Which attempt of which run of which bot; every message carries it, so that a late one is known as such."""

    namespace: str
    """Namespace of the TweetBot."""
    name: str
    """Name of the TweetBot."""
    uid: str
    """Its uid: a bot deleted and made again is another."""
    run_id: str
    """Id of the run."""
    attempt: int
    """Try of the Job."""


class FormerRun(ApiModel):
    """The run whose model stays if there is too little new."""

    uri: str
    """Its `s3://` prefix."""
    min_new_posts: int
    """Kept posts that are not in its dataset, at least, for another training."""


class RunConfig(ApiModel):
    """One bot's run, fully resolved: no default is left to the trainer."""

    bot: BotIdentity
    """Whom this is for."""
    handles: list[str]
    """Accounts, lower case, without `@`, no duplicates, in the order of the spec."""
    source: Source
    """Where the posts come from."""
    access: SourceAccess = SourceAccess()
    """How sources on the network are reached."""
    raw_uri: str | None = Field(default=None, alias="rawURI")
    """Where answers that cost money are kept for all bots of the namespace, an `s3://` or `file://` prefix."""
    base_model: BaseModelReference
    """The pretrained model."""
    cleaning: Cleaning = Cleaning()
    """Which posts are learned from, and what is changed in them."""
    training: Training
    """The recipe; `seed` is always set."""
    generation: Generation
    """How the bot writes."""
    output: S3Location
    """Where the results go."""
    wandb: WandbConfig = WandbConfig()
    """Where metrics are sent."""
    former: FormerRun | None = None
    """What a scheduled run is compared with; None trains in any case."""
    hugging_face: HuggingFaceTarget | None = None
    """Where the model is pushed to after it is stored."""


class BatchIdentity(ApiModel):
    """Which TweetBotBatch."""

    namespace: str
    """Namespace of the TweetBotBatch."""
    name: str
    """Name of the TweetBotBatch."""
    uid: str
    """Its uid: a batch deleted and made again is another."""


class ListManifest(ApiModel):
    """What a Job needs to know that reads the handles of a TweetBotBatch from a file and hands them over."""

    schema_version: Literal[1] = 1
    """Changes when an older trainer could not read it."""
    job_name: str
    """Name of the Job, for logs."""
    operator_url: str
    """Base address of the operator's server, `https://host:port`."""
    batch: BatchIdentity
    """Whom this is for."""
    uri: str
    """Address of the file."""
    column: str
    """The column of handles."""
    store: S3Location
    """How S3 is reached."""


class RunManifest(ApiModel):
    """Everything that one Job needs to know."""

    schema_version: Literal[1] = 1
    """Changes when an older trainer could not read it."""
    job_kind: JobKind
    """Which half of the run this Job is."""
    job_name: str
    """Name of the Job, for logs."""
    operator_url: str | None = None
    """Base address of the operator's server, `https://host:port`; None reports nowhere."""
    bots: list[RunConfig]
    """The batch."""
