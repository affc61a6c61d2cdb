"""What the operator reports on a TweetBot. Output only: nothing here is ever read back as a wish."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from tweetbot_api.model import ApiModel, Time
from tweetbot_api.names import JobKind

Phase = Literal["Pending", "Preparing", "Queued", "Training", "Suspended", "Succeeded", "Failed", "Deleting"]
Stage = Literal["Fetching", "Cleaning", "Training", "Evaluating", "Generating", "Publishing"]


class Condition(ApiModel):
    """One condition, as metav1.Condition."""

    type: str
    """Kind of the condition, CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str
    """Why, as one CamelCase word; `docs/reasons.md` explains each with its remedy."""
    message: Annotated[str, StringConstraints(max_length=4096)]
    """Why, as a sentence that names the field or object and the fix."""
    observed_generation: int
    """The spec's generation that this was decided on."""
    last_transition_time: Time
    """When `status` last changed."""


class Progress(ApiModel):
    """How far the run is, over its whole length."""

    percent: int = Field(ge=0, le=100)
    """Share of the whole run that is done, from fetch to publication."""
    step: int | None = None
    """Optimiser steps done."""
    total_steps: int | None = None
    """Optimiser steps of the run."""
    loss: float | None = None
    """Training loss of the newest steps, in nats per token."""
    tokens_per_second: float | None = None
    """Training speed."""
    eta_seconds: int | None = None
    """Estimated seconds until the end of the training."""
    last_heartbeat_time: Time | None = None
    """When the trainer was last heard, by the operator's clock."""


class Run(ApiModel):
    """The current run, or the last one."""

    id: str
    """Derived from the object's uid, its spec and `spec.runID`."""
    number: int = 1
    """Counts the runs of this object."""
    scheduled_time: Time | None = None
    """When `spec.schedule` started it; part of its id."""
    unchanged: Annotated[str, StringConstraints(max_length=300)] | None = None
    """Why it ended after prepare with the former model, if it did."""
    job_kind: JobKind = "prepare"
    """The Job that the run is at."""
    attempt: int = 1
    """Counts the tries of that Job, whatever ended the earlier ones."""
    failed_attempts: int = 0
    """Tries of that Job that failed by themselves: those that `spec.maxAttempts` counts."""
    preemptions: int = 0
    """Tries of this run that were stopped from outside: drained, preempted, evicted or deleted."""
    job_name: str | None = None
    """Name of the Job of this attempt; absent while the bot waits for others to share one with."""
    job_uid: str | None = Field(default=None, alias="jobUID")
    """Uid of that Job, once it was seen: if it is missing later, somebody deleted it."""
    start_time: Time
    """When the run was accepted."""
    completion_time: Time | None = None
    """When the run ended."""
    retry_time: Time | None = None
    """Before this time the attempt's Job is not made: the pause after a failure."""
    attempt_start_time: Time | None = None
    """When the pod of this attempt got its node."""
    active_seconds: int = 0
    """Seconds for which the pods of earlier attempts and Jobs of this run held their nodes: what
    `spec.activeDeadlineSeconds` limits, together with the pod of today."""
    gpu_seconds: int = 0
    """Seconds of GPU held by the train Jobs of this run, times GPUs."""


class HandleCounts(ApiModel):
    """The rows of the model card's data table for one handle: downloaded = retweets + short + filtered + kept."""

    handle: str
    """The account, lower case, without `@`."""
    display_name: Annotated[str, StringConstraints(max_length=200)] | None = None
    """The account's name as people see it, if the source tells."""
    downloaded: int
    """Posts in the source."""
    retweets: int
    """Posts of others, passed on."""
    short: int
    """Posts with too few words of their own (`spec.cleaning.minWords`)."""
    filtered: int = 0
    """Posts left out by `spec.cleaning`'s language and denyTerms."""
    kept: int
    """Posts that the bot learns from."""


class Dataset(ApiModel):
    """The prepared posts."""

    characters: int
    """Characters of the kept posts."""
    tokens: int
    """Tokens of the kept posts, one copy of each, by the base model's tokenizer."""
    sha256: str
    """Hash of the stored posts."""
    warning: Annotated[str, StringConstraints(max_length=300)] | None = None
    """What the owner should know, for example that there is little text."""


class Writing(ApiModel):
    """How posts are written, in numbers that can be compared between the bot and its author."""

    posts: int
    """How many posts were measured."""
    words: float
    """Mean words of a post."""
    characters: float
    """Mean characters of a post."""
    distinct1: float
    """Distinct words as a share of all words: low where a writer repeats himself."""
    distinct2: float
    """The same for pairs of words."""
    hashtags: float
    """Mean hashtags of a post."""
    mentions: float
    """Mean mentions of a post."""
    emoji: float
    """Mean emoji of a post."""


class Evaluation(ApiModel):
    """How well the bot foresees posts that it has not seen, and how it writes itself."""

    loss: float | None = None
    """Loss on the held-out posts after training, in nats per token; absent if none were held out."""
    perplexity: float | None = None
    """exp(loss)."""
    base_loss: float | None = None
    """The same for the base model before training."""
    base_perplexity: float | None = None
    """exp(baseLoss)."""
    memorization: float | None = Field(default=None, ge=0, le=1)
    """Share of the bot's posts that repeat eight or more consecutive words of a post that it learned."""
    duplicates: float | None = Field(default=None, ge=0, le=1)
    """Share of the bot's posts that repeat an earlier one of its own word for word."""
    bot: Writing | None = None
    """How the bot writes without a prompt."""
    author: Writing | None = None
    """How the posts that it learned are written."""


class WandbRuns(ApiModel):
    """Addresses of the two W&B runs."""

    preprocess_url: str | None = Field(default=None, alias="preprocessURL")
    """The preprocess run."""
    train_url: str | None = Field(default=None, alias="trainURL")
    """The train run."""


class HuggingFaceModel(ApiModel):
    """The model on the Hugging Face Hub."""

    url: str
    """Address of the repository."""
    revision: str | None = None
    """The commit that holds this run's model; absent if the push failed."""
    failure: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """Why the push failed. The model is in S3 all the same."""


class Outputs(ApiModel):
    """Where the results lie."""

    model_uri: str = Field(alias="modelURI")
    """Folder with weights, tokenizer and generation settings."""
    card_uri: str = Field(alias="cardURI")
    """The model card."""
    predictions_uri: str = Field(alias="predictionsURI")
    """Picture of predictions, for sharing."""
    manifest_uri: str = Field(alias="manifestURI")
    """The list of all files with their hashes, written last."""
    manifest_sha256: str = Field(alias="manifestSHA256")
    """Hash of that list."""
    hugging_face: HuggingFaceModel | None = None
    """The model on the Hugging Face Hub, if `spec.output.huggingFace` asks for it."""


class Failure(ApiModel):
    """Why the last attempt failed. It stays after pod, node and Job are gone."""

    reason: str
    """One CamelCase word; `docs/reasons.md` explains each with its remedy."""
    message: Annotated[str, StringConstraints(max_length=1024)]
    """A sentence that names what to fix."""
    exit_code: int | None = None
    """Exit code of the container."""
    log_tail: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """The last lines of the log."""
    log_uri: str | None = Field(default=None, alias="logURI")
    """Where the attempt stored its whole log, if it came to that."""


class TweetBotStatus(ApiModel):
    """What the operator saw and did."""

    observed_generation: int = -1
    """The spec's generation that this status speaks of; -1 before the operator has seen the object."""
    phase: Phase | None = None
    """Short form of the conditions, for people."""
    stage: Stage | None = None
    """What the current Job is doing."""
    progress: Progress | None = None
    """How far the run is."""
    run: Run | None = None
    """The current run."""
    data: list[HandleCounts] | None = Field(default=None, max_length=3)
    """The data table of the model card."""
    dataset: Dataset | None = None
    """The prepared posts, once the prepare Job is done."""
    evaluation: Evaluation | None = None
    """How good the bot is."""
    outputs: Outputs | None = None
    """Where the results lie."""
    wandb: WandbRuns | None = None
    """Addresses of the W&B runs, when tracked online."""
    samples: list[Annotated[str, StringConstraints(max_length=600)]] | None = Field(default=None, max_length=3)
    """Posts that the bot wrote."""
    failure: Failure | None = None
    """Why the last attempt failed."""
    conditions: list[Condition] = Field(default=[], max_length=16)
    """Ready, Reconciling and Stalled as kstatus reads them; Complete or Failed at the end."""

    model_config = ConfigDict(extra="ignore")
