"""How the bot writes."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from tweetbot_api.model import ApiModel
from tweetbot_api.spec.fields import cel_rules

Prompt = Annotated[str, StringConstraints(max_length=280)]
LENGTHS_IN_ORDER = "minLength must not be larger than maxLength"


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
