"""The base model, and how it is fine-tuned."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, WithJsonSchema, model_validator

from tweetbot_api.deepspeed_config import check_deepspeed_config
from tweetbot_api.model import ApiModel
from tweetbot_api.spec.fields import cel_rules

ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$", max_length=128)]
DeepSpeedConfig = Annotated[
    dict[str, JsonValue],
    AfterValidator(check_deepspeed_config),
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True, "maxProperties": 64}),
]
LORA_NEEDS_METHOD = "lora is for method lora only: set method to lora, or leave lora out"
STOPPING_NEEDS_HELD_OUT = "earlyStopping compares held-out losses: set evalFraction above 0, or leave earlyStopping out"


class BaseModelReference(ApiModel):
    """The pretrained causal language model that is fine-tuned."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[A-Za-z0-9_.:/@-]+$")]
    """Name on the Hugging Face Hub (`gpt2`), an `s3://bucket/prefix` that holds a saved model, or `file:///path` for
    the command line. Weights must be safetensors; no code of the model's repository is ever run."""
    revision: Annotated[str, StringConstraints(max_length=255)] | None = None
    """Branch, tag or commit on the Hub. Without it, the newest of the main branch. Not used for S3 or files."""


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
