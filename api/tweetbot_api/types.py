"""The TweetBot resource: metadata that we read, spec and status."""

import json
from typing import Any, Literal

from pydantic import ConfigDict

from tweetbot_api.model import ApiModel, Time
from tweetbot_api.names import digest
from tweetbot_api.spec.training import Training
from tweetbot_api.spec.tweetbot import TweetBotSpec
from tweetbot_api.status import TweetBotStatus

_NUM_SEEDS = 2**31


class ObjectMeta(ApiModel):
    """The part of an object's metadata that we read."""

    name: str = "local"
    """Name within the namespace."""
    namespace: str = "default"
    """Namespace."""
    uid: str = ""
    """Changes when an object is deleted and made again."""
    generation: int = 1
    """Counts the changes of the spec."""
    resource_version: str = ""
    """Changes with every write."""
    deletion_timestamp: Time | None = None
    """Set once the object is being deleted."""

    labels: dict[str, str] = {}
    """What users and tools select objects by."""
    annotations: dict[str, str] = {}
    """Remarks of users and tools."""
    finalizers: list[str] = []
    """What has to be done before the object is gone."""

    model_config = ConfigDict(extra="ignore")


class TweetBot(ApiModel):
    """A bot that writes like its handles."""

    api_version: Literal["tweetbot.dev/v1alpha1"] = "tweetbot.dev/v1alpha1"
    """Version of this schema."""
    kind: Literal["TweetBot"] = "TweetBot"
    """Kind of the object."""
    metadata: ObjectMeta
    """Standard object metadata."""
    spec: TweetBotSpec
    """The bot that is wanted."""
    status: TweetBotStatus = TweetBotStatus()
    """What the operator saw and did."""

    @property
    def run_id(self) -> str:
        """The id of the run that this spec asks for.

        Only what shapes the model and where it is stored counts, and only where it differs from the defaults: neither
        more attempts or memory, another Secret for X or the Hub nor a newer operator with new fields starts a run
        again. A run that the schedule started has its time in its id.
        """
        shaping = self.spec.model_dump(
            mode="json",
            by_alias=True,
            exclude_defaults=True,
            include={"handles", "source", "base_model", "cleaning", "training", "generation", "output", "run_id"},
            exclude={
                "source": {"x": {"credentials_secret"}},
                "output": {"deletion_policy": True, "s3": {"checksums"}, "hugging_face": {"token_secret"}},
            },
        )
        parts = [self.metadata.uid, json.dumps(_without_empty(shaping), sort_keys=True)]
        scheduled = self.status.run.scheduled_time if self.status.run else None
        return digest(*parts, *([scheduled.isoformat()] if scheduled else []))

    @property
    def recipe(self) -> Training:
        """The recipe with a seed: the spec's, or one that each attempt of a run derives alike and other runs do not."""
        if self.spec.training.seed is not None:
            return self.spec.training
        seed = int(digest("seed", self.run_id, length=8), 16) % _NUM_SEEDS
        return self.spec.training.model_copy(update={"seed": seed})


def _without_empty(value: Any) -> Any:
    """Return the JSON object without members that hold nothing but empty objects."""
    if not isinstance(value, dict):
        return value
    members = {name: _without_empty(item) for name, item in value.items()}
    return {name: item for name, item in members.items() if item != {}}
