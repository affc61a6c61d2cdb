"""What a user writes in a TweetBot: the single source of the CRD's schema, its defaults and its messages.

The docstring under a field becomes its description in `kubectl explain`. Defaults that belong to the platform (S3,
W&B, base model, resources) are absent here: the operator's settings fill them in and they never land in the spec.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from tweetbot_api.deepspeed_config import check_deepspeed_config
from tweetbot_api.model import ApiModel

_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
Quantity = Annotated[
    str,
    BeforeValidator(str),
    StringConstraints(pattern=_QUANTITY, max_length=24),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": _QUANTITY, "maxLength": 24}),
]
"""A Kubernetes quantity such as `500m`, `2` or `16Gi`."""

_HANDLE = r"^@?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$"
_LONGEST_HANDLE = 129
Handle = Annotated[str, StringConstraints(pattern=_HANDLE, min_length=1, max_length=_LONGEST_HANDLE)]
_X_HANDLE = r"^@?[A-Za-z0-9_]{1,15}$"
_BLUESKY_HANDLE = r"^@?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
_INSTANCE = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?(:[0-9]{1,5})?$"
SecretName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
Uri = Annotated[str, StringConstraints(pattern=r"^(s3|file)://[^\s]+$", max_length=1024)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+$", max_length=253)]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]
KubernetesName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Prompt = Annotated[str, StringConstraints(max_length=280)]
DenyTerm = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$", max_length=128)]
DeepSpeedConfig = Annotated[
    dict[str, JsonValue],
    AfterValidator(check_deepspeed_config),
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True, "maxProperties": 64}),
]

_SOURCES = ("archive", "files", "x", "bluesky", "mastodon")
ONE_SOURCE = "give exactly one source: archive, files, x, bluesky or mastodon"
ACCEPT_TERMS = (
    "X's developer terms restrict training on what its API gives (docs/sources.md#terms-of-x): read them, and set "
    "termsAccepted: true if your use is allowed; the owner's own archive, Bluesky and Mastodon need no such consent"
)
HANDLES_OF_ANY = "handles have letters, digits, underscores, dots and hyphens, 129 at most; correct the handle"
HANDLES_OF_X = "handles on X have 1 to 15 letters, digits or underscores; correct the handle, or choose its own source"
HANDLES_OF_BLUESKY = "handles on Bluesky are whole domain names; write alice.bsky.social, not alice"
LENGTHS_IN_ORDER = "minLength must not be larger than maxLength"
LORA_NEEDS_METHOD = "lora is for method lora only: set method to lora, or leave lora out"
STOPPING_NEEDS_HELD_OUT = "earlyStopping compares held-out losses: set evalFraction above 0, or leave earlyStopping out"
OUTPUT_MAY_NOT_MOVE = (
    "output.s3.bucket, prefix and endpoint cannot change under deletionPolicy Delete, for what is stored would be left "
    "behind; set deletionPolicy: Retain, or make another TweetBot"
)
HANDLES_DIFFER = "handles must differ from each other; remove the repeated one"
KEY_NEEDS_KMS = "kmsKeyID is for algorithm aws:kms; set algorithm: aws:kms, or remove kmsKeyID"
ONE_FILE_PER_HANDLE = (
    "with several handles the archive's uri must contain {handle}, for example s3://tweets/{handle}.zip"
)


def cel_rules(*rules: tuple[str, str]) -> ConfigDict:
    """Return a model's configuration that puts CEL rules, each with its message, into the CRD.

    The same rule stands as a validator in the model, for the command line, which no apiserver guards.
    """
    validations: JsonValue = [{"rule": rule, "message": message} for rule, message in rules]
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": validations})


def normalize_handles(handles: Sequence[Handle]) -> list[str]:
    """Return the handles as huggingtweets keys them: no leading `@`, lower case, each once, in their order."""
    return list(dict.fromkeys(handle.strip().removeprefix("@").lower() for handle in handles))


class SecretReference(ApiModel):
    """The name of a Secret in the bot's own namespace."""

    name: SecretName
    """Name of a Secret in the namespace of the TweetBot. The operator never reads it: only the pod does."""


class ArchiveSource(ApiModel):
    """Where the archive lies that the network gave the account's owner."""

    uri: Uri
    """Address of the archive: `s3://bucket/key`, or `file:///path` for the command line. `{handle}` in it is replaced
    by each handle, so that several handles can have one each. Example: `s3://tweets/{handle}.zip`."""


class Columns(ApiModel):
    """Which column, or which field of a JSON object (`user.name` for a nested one), holds what."""

    text: ColumnName
    """The post's text."""
    id: ColumnName | None = None
    """The post's identifier; a post that stands in the files twice is counted once. Without it, none is a repeat."""
    handle: ColumnName | None = None
    """The author's handle; posts of others are left out. Without it, every post is taken for the handle's own."""
    created_at: ColumnName | None = None
    """When it was posted."""
    lang: ColumnName | None = None
    """The language's code."""
    repost: ColumnName | None = None
    """Whether it repeats another's post: anything but `false`, `f`, `0`, `no`, `NA` or nothing; or the kind of post
    (`retweeted`, `quoted`, `reply`, `original`). A text that begins with `RT @name:` is one in any case."""


class FilesSource(ApiModel):
    """Where files with posts lie, and how to read one whose shape is not known."""

    uri: Uri
    """Address of the file: `s3://bucket/key`, or `file:///path` for the command line. `{handle}` in it is replaced by
    each handle. Example: `s3://tweets/{handle}.jsonl`."""
    also: list[Uri] | None = Field(default=None, max_length=16)
    """More files of the same accounts, of any shape. Posts are read in the order of the files; one with the
    identifier of an earlier one is left out."""
    columns: Columns | None = None
    """The columns to read. Without it, the shape is detected (`docs/sources.md` lists the known ones)."""


class XSource(ApiModel):
    """The posts of an account by X's API, which charges for each post that it gives (docs/sources.md)."""

    credentials_secret: SecretReference
    """Secret with the key `X_BEARER_TOKEN`, an app-only bearer token of a developer account with credit. Only the
    prepare pod gets it. The command line takes the variable `X_BEARER_TOKEN`."""
    terms_accepted: bool = False
    """That X's developer terms allow this use; nothing is fetched without. They forbid to train "foundation or frontier
    models": whether a small model of a person's posts is one is for you to find out."""
    max_posts: int = Field(default=3200, ge=5, le=3200)
    """Most posts of each handle that a run buys, reposts included, newest first. X gives the newest 3,200. What an
    earlier run has bought is used as well and costs nothing."""
    max_cost_usd: Annotated[float, Field(gt=0, le=10_000)] | None = Field(default=None, alias="maxCostUSD")
    """Most US dollars that a run spends on all its handles, over all attempts, by the prices in the operator's
    settings ($0.005 a post, $0.010 a look-up of an account). A run that reaches it goes on with the posts it has.
    Without it, only maxPosts limits the cost: $16.01 a handle at most."""

    model_config = cel_rules(("self.termsAccepted", ACCEPT_TERMS))

    @model_validator(mode="after")
    def _accepts_the_terms(self) -> Self:
        if not self.terms_accepted:
            raise ValueError(ACCEPT_TERMS)
        return self


class BlueskySource(ApiModel):
    """The posts of an account on Bluesky, read from the account's own server; free, and without an account of ours."""


class MastodonSource(ApiModel):
    """The public posts of an account on a Mastodon server (or one with the same API); free."""

    instance: Annotated[str, StringConstraints(pattern=_INSTANCE, max_length=253)]
    """Host name of the account's own server: for `@ada@fosstodon.org`, `fosstodon.org` here and `ada` as the handle."""


class Source(ApiModel):
    """Where the posts come from: exactly one of the fields."""

    archive: ArchiveSource | None = None
    """The account owner's own archive, as the network gives it: the zip file from X (old and new layouts), or the
    archive or `outbox.json` from Mastodon."""
    files: FilesSource | None = None
    """Files of posts as tools leave them (twarc, snscrape, academictwitteR, well-known datasets), CSV, JSON lines or
    Parquet with a column of texts, or plain text with one post per line."""
    x: XSource | None = None
    """X's API (version 2). It charges for each post; the owner's archive is free and whole."""
    bluesky: BlueskySource | None = None
    """Bluesky; the handles are whole domain names. Write `bluesky: {}`."""
    mastodon: MastodonSource | None = None
    """A Mastodon server."""

    model_config = cel_rules(
        (f"[{', '.join(f'has(self.{name})' for name in _SOURCES)}].filter(given, given).size() == 1", ONE_SOURCE),
    )

    @property
    def kind(self) -> str:
        """The name of the source that is given."""
        return next(name for name in _SOURCES if getattr(self, name) is not None)

    @property
    def uris(self) -> list[str]:
        """The addresses of the source's files; none if it is read over the network."""
        if self.archive:
            return [self.archive.uri]
        return [self.files.uri, *(self.files.also or ())] if self.files else []

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in _SOURCES) != 1:
            raise ValueError(ONE_SOURCE)
        return self


class BaseModelReference(ApiModel):
    """The pretrained causal language model that is fine-tuned."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[A-Za-z0-9_.:/@-]+$")]
    """Name on the Hugging Face Hub (`gpt2`), an `s3://bucket/prefix` that holds a saved model, or `file:///path` for
    the command line. Weights must be safetensors; no code of the model's repository is ever run."""
    revision: Annotated[str, StringConstraints(max_length=255)] | None = None
    """Branch, tag or commit on the Hub. Without it, the newest of the main branch. Not used for S3 or files."""


Marks = Literal["keep", "strip", "mask"]
Language = Literal[
    "af", "am", "an", "ar", "as", "az", "ba", "be", "bg", "bn", "br", "bs", "ca", "cs", "cy", "da", "de", "dz",
    "el", "en", "eo", "es", "et", "eu", "fa", "fi", "fo", "fr", "fy", "ga", "gd", "gl", "gu", "ha", "he", "hi",
    "hr", "ht", "hu", "hy", "id", "ig", "is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "ku", "ky", "la",
    "lb", "lg", "ln", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn", "no",
    "oc", "om", "or", "pa", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "sa", "se", "si", "sk", "sl", "sn", "so",
    "sq", "sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk", "ur", "uz", "vi",
    "vo", "wa", "xh", "yo", "zh", "zu",
]  # fmt: skip
"""The languages (ISO 639-1) that the trainer's detector tells apart."""


class Cleaning(ApiModel):
    """Which posts are learned from, and what is changed in them; the defaults are those of huggingtweets."""

    min_words: int = Field(default=3, ge=0, le=50)
    """A post with fewer words of the author's own is short and left out. A word that contains `http`, `@` or `#` is not
    the author's own."""
    unspaced_scripts: Literal["words", "characters"] = "words"
    """How Chinese, Japanese, Thai and other writing without spaces is judged. `words`, as huggingtweets does it, counts
    what white space separates, which drops nearly every such post as short. `characters` counts each two characters of
    such writing as one word."""
    mentions: Marks = "keep"
    """What becomes of `@names` in the kept posts: `keep`, `strip` deletes them, `mask` writes `@user` for each."""
    hashtags: Marks = "keep"
    """What becomes of `#tags` in the kept posts: `keep`, `strip` deletes them, `mask` writes `#hashtag` for each."""
    language: Language | None = None
    """Only posts in this language (ISO 639-1, for example `en`) are kept: as the source says or, where it says nothing,
    as far as a detector can tell. Without it, all."""
    deny_terms: list[DenyTerm] = Field(default=[], max_length=64)
    """Posts that contain one of these words or phrases, in upper or lower case, are left out."""


class Lora(ApiModel):
    """Low-rank adapters (arXiv:2106.09685): small matrices trained beside the frozen weights, then added to them."""

    rank: int = Field(default=16, ge=1, le=256)
    """Rank of the adapters' matrices."""
    alpha: float = Field(default=32, gt=0, le=1024)
    """The adapters' output is scaled by alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before the adapters while training."""
    target_modules: list[ModuleName] | None = Field(default=None, min_length=1, max_length=32)
    """Names of the layers that get adapters, such as `c_attn`. Without it, every linear layer but the output's."""


class EarlyStopping(ApiModel):
    """End the training when the held-out loss stops falling, and keep the weights with which it was lowest."""

    patience: int = Field(default=3, ge=1, le=100)
    """Measurements in a row that bring no improvement before the training ends."""
    min_delta: float = Field(default=0, ge=0, le=10)
    """How much lower (nats per token) a held-out loss must be to count as an improvement."""


class DeepSpeed(ApiModel):
    """How DeepSpeed runs the training."""

    zero_stage: int = Field(default=0, ge=0, le=3)
    """What the processes share instead of holding it each: 0 nothing, 1 the optimiser's state, 2 also gradients, 3 also
    weights. Saves memory with several GPUs; with one GPU it only costs time."""
    config: DeepSpeedConfig | None = None
    """Any other part of DeepSpeed's configuration, in its own words (https://www.deepspeed.ai/docs/config-json/). What
    the recipe decides (batch, optimizer, scheduler, clipping, precision, ZeRO stage) is refused here."""


class Training(ApiModel):
    """The fine-tuning recipe; the defaults are those of huggingtweets."""

    method: Literal["full", "lora"] = "full"
    """`full` trains every weight, `lora` trains adapters that are merged into the weights before they are published.
    Adapters want a learning rate about ten times higher."""
    lora: Lora | None = None
    """The adapters of method `lora`."""

    epochs: int = Field(default=4, ge=1, le=50)
    """How many differently shuffled copies of the posts are learned, in one pass."""
    learning_rate: float = Field(default=1.372e-4, gt=0, le=1)
    """Peak learning rate of AdamW; it falls to 0 as a cosine over the run."""
    batch_size: int = Field(default=1, ge=1, le=64)
    """Blocks that each process reads at once. If its memory runs out, it reads them in smaller portions."""
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=1024)
    """Batches whose gradients are added up for one optimiser step."""
    block_size: int = Field(default=1024, ge=16, le=8192)
    """Tokens in one block; the incomplete tail of the text is dropped. At most the base model's context."""
    warmup_ratio: float = Field(default=0, ge=0, le=1)
    """Share of the steps in which the learning rate rises from 0."""
    weight_decay: float = Field(default=0, ge=0, le=1)
    """AdamW's weight decay."""
    max_grad_norm: float = Field(default=1, gt=0, le=1000)
    """The gradient is scaled down to this norm when it is larger."""
    eval_fraction: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the kept posts that is held out of training to measure the loss. 0 measures nothing."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward and backward passes; `auto` is bf16 where the GPU has it, else fp32."""
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """Seed of shuffling, dropout and sampling. Without it, one is derived from the run's id and recorded."""
    eval_steps: int | None = Field(default=None, ge=1, le=100_000)
    """Optimiser steps between measurements of the held-out loss. Without it, it is measured before and after the
    training only, or every 20 steps if earlyStopping is given."""
    early_stopping: EarlyStopping | None = None
    """End the training before its last step when the held-out loss stops falling. Without it, never."""
    checkpoint_steps: int | None = Field(default=None, ge=1, le=100_000)
    """Optimiser steps between checkpoints, each complete before the next step. Without it, one is saved in the
    background every few minutes, the rarer the longer saving takes. An interrupted run goes on from the newest."""
    deepspeed: DeepSpeed = DeepSpeed()
    """DeepSpeed's own settings."""

    model_config = cel_rules(
        ("!has(self.lora) || self.method == 'lora'", LORA_NEEDS_METHOD),
        ("!has(self.earlyStopping) || self.evalFraction > 0.0", STOPPING_NEEDS_HELD_OUT),
    )

    @model_validator(mode="after")
    def _has_what_its_parts_need(self) -> Self:
        if self.lora and self.method != "lora":
            raise ValueError(LORA_NEEDS_METHOD)
        if self.early_stopping and not self.eval_fraction:
            raise ValueError(STOPPING_NEEDS_HELD_OUT)
        return self


class Generation(ApiModel):
    """How the bot writes: saved with the model, and used for the samples on its card."""

    prompts: list[Prompt] = Field(default=["My dream is"], min_length=1, max_length=8)
    """Beginnings of the sample posts."""
    samples_per_prompt: int = Field(default=10, ge=1, le=20)
    """Sample posts written for each prompt."""
    measured_posts: int = Field(default=64, ge=0, le=1024)
    """Posts written without a prompt to measure how the bot writes and how much it memorised. 0 measures nothing."""
    min_length: int = Field(default=10, ge=0, le=1024)
    """Least tokens of a post, prompt included."""
    max_length: int = Field(default=160, ge=2, le=1024)
    """Most tokens of a post, prompt included."""
    temperature: float = Field(default=1, gt=0, le=10)
    """Below 1 the bot is more predictable, above 1 wilder."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Only the likeliest tokens that together have this probability are sampled from."""

    model_config = cel_rules(("self.minLength <= self.maxLength", LENGTHS_IN_ORDER))

    @model_validator(mode="after")
    def _has_lengths_in_order(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(LENGTHS_IN_ORDER)
        return self


class Toleration(ApiModel):
    """A taint that the pods may be scheduled onto; the fields are those of a pod's toleration."""

    key: Annotated[str, StringConstraints(max_length=316)] | None = None
    """Key of the taint; empty with operator `Exists` for every key."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How the value is compared."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; every effect if left out."""


class Resources(ApiModel):
    """What the train Job asks of the cluster; what is left out comes from the operator's settings."""

    gpus: int | None = Field(default=None, ge=0, le=16)
    """GPUs (`nvidia.com/gpu`) of each train pod, each with a process of its own. 0 trains on the CPU."""
    nodes: int | None = Field(default=None, ge=1, le=32)
    """Pods that train together, each with these GPUs, CPUs and this memory. They start and end together: if one fails,
    the next attempt is made of new ones."""
    cpu: Quantity | None = None
    """CPU request and limit of each train pod."""
    memory: Quantity | None = None
    """Memory request and limit of each train pod."""
    node_selector: dict[str, LabelValue] | None = Field(default=None, max_length=16)
    """Labels that the train pod's node must carry."""
    tolerations: list[Toleration] | None = Field(default=None, max_length=16)
    """Taints that the train pod may be scheduled onto."""
    priority_class_name: KubernetesName | None = None
    """PriorityClass of the train pod."""
    queue_name: LabelValue | None = None
    """Kueue LocalQueue in the bot's namespace that the train Job waits in. Needs Kueue in the cluster."""
    queue_priority_class_name: KubernetesName | None = None
    """Kueue WorkloadPriorityClass of the train Job: who comes first in the queue, and who may take another's place.
    Without it the PriorityClass of the pod counts. It decides nothing without `queueName`."""


class S3Encryption(ApiModel):
    """Encryption of the stored objects by the store itself. Without it, the bucket's own default holds."""

    algorithm: Literal["AES256", "aws:kms"]
    """`AES256` with keys of the store, `aws:kms` with a key of a key management service."""
    kms_key_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:/_-]+$", max_length=2048)] | None = Field(
        default=None, alias="kmsKeyID"
    )
    """Id, alias or ARN of the key for `aws:kms`. Without it, the account's default key."""

    model_config = cel_rules(("!has(self.kmsKeyID) || self.algorithm == 'aws:kms'", KEY_NEEDS_KMS))

    @model_validator(mode="after")
    def _has_key_only_for_kms(self) -> Self:
        if self.kms_key_id is not None and self.algorithm != "aws:kms":
            raise ValueError(KEY_NEEDS_KMS)
        return self


class S3Output(ApiModel):
    """The S3 bucket that holds what a run leaves behind; what is left out comes from the operator's settings."""

    bucket: Bucket | None = None
    """Name of the bucket. It must exist."""
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./=-]*$", max_length=256)] | None = None
    """Key prefix; below it come namespace, name and run id."""
    endpoint: Endpoint | None = None
    """Address of an S3-compatible store. Without it, AWS."""
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$", max_length=32)] | None = None
    """Region of the bucket."""
    credentials_secret: SecretReference | None = None
    """Secret with the keys `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, also used to read `s3://` sources. Without
    it (here and in the settings) the pod's own identity is used."""
    checksums: Literal["when_supported", "when_required"] | None = None
    """Whether requests carry S3's newer checksum headers (boto3's `request_checksum_calculation`). Many S3-compatible
    stores refuse or mistake them, so without this field they are sent to AWS and not to an `endpoint`."""
    encryption: S3Encryption | None = None
    """Server-side encryption of what a run stores."""


class HuggingFaceOutput(ApiModel):
    """A model repository on the Hugging Face Hub that gets the model folder once it is stored in S3."""

    repo: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=160)
    ]
    """Owner and name, `my-team/thisisaito`. It is made if it does not exist."""
    private: bool = True
    """Whether a repository that has to be made is private. One that exists stays as it is."""
    token_secret: SecretReference
    """Secret with the key `HF_TOKEN`, a token that may write to the repository. Only the train pod gets it."""


class Output(ApiModel):
    """Where the results go."""

    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the stored results when the TweetBot is deleted. `Delete` removes everything below
    `<prefix>/<namespace>/<name>/` in the bucket, all versions and unfinished uploads, also what earlier TweetBots of
    this name left there, by a Job with this bot's credentials; the TweetBot is gone only afterwards."""
    s3: S3Output | None = None
    """The S3 bucket for model, card, pictures and manifest."""
    hugging_face: HuggingFaceOutput | None = None
    """Also push the model to the Hugging Face Hub. A push that fails is told in `status.outputs.huggingFace` and by an
    Event; the run is complete all the same, for the model is in S3."""


class WandbTracking(ApiModel):
    """The Weights & Biases project of the two runs (preprocess and train)."""

    mode: Literal["online", "offline", "disabled"] | None = None
    """`online` sends as it goes, `offline` leaves files that `wandb sync` sends later, `disabled` does neither."""
    project: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)] | None = None
    """Project of the runs."""
    entity: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)] | None = None
    """User or team that owns the project."""
    base_url: Endpoint | None = Field(default=None, alias="baseURL")
    """Address of a W&B server of your own. Without it, wandb.ai."""
    api_key_secret: SecretReference | None = None
    """Secret with the key `WANDB_API_KEY`; needed for `online`."""


class Tracking(ApiModel):
    """Where metrics are sent while the run goes on."""

    wandb: WandbTracking | None = None
    """Weights & Biases."""


class Schedule(ApiModel):
    """Training the bot again from time to time, if there is something new to learn."""

    cron: Annotated[str, StringConstraints(min_length=9, max_length=100)]
    """When, as five cron fields in UTC: `0 3 * * 1` is each Monday at 3. A time that passes while a run goes on, or
    while the bot is suspended, is made up for once."""
    min_new_posts: int = Field(default=1, ge=1, le=1_000_000)
    """Kept posts that the last model has not learned from, at least; with fewer, the run ends after prepare with the
    reason Unchanged, the former model stays, and no GPU is asked for."""


def find_handle_problem(handle: str, source: Source) -> str | None:
    """Return what is wrong with an account's name, as its source names accounts, with the fix; None if nothing is."""
    if len(handle) > _LONGEST_HANDLE or not re.fullmatch(_HANDLE, handle):
        return HANDLES_OF_ANY
    if source.x and not re.fullmatch(_X_HANDLE, handle):
        return HANDLES_OF_X
    if source.bluesky and not re.fullmatch(_BLUESKY_HANDLE, handle):
        return HANDLES_OF_BLUESKY
    return None


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
        (f"!has(self.source.x) || self.handles.all(h, h.matches(r'{_X_HANDLE}'))", HANDLES_OF_X),
        (f"!has(self.source.bluesky) || self.handles.all(h, h.matches(r'{_BLUESKY_HANDLE}'))", HANDLES_OF_BLUESKY),
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
