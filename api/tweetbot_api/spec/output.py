"""Where results and metrics go."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tweetbot_api.model import ApiModel
from tweetbot_api.spec.fields import Bucket, Endpoint, SecretReference, cel_rules

KEY_NEEDS_KMS = "kmsKeyID is for algorithm aws:kms; set algorithm: aws:kms, or remove kmsKeyID"


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
