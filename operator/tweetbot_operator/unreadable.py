"""What this operator cannot read, such as a bot that a newer CRD let in: what is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from tweetbot_api.model import ApiModel
from tweetbot_api.types import ObjectMeta, TweetBot

_Status = TypeVar("_Status", bound=ApiModel)


@dataclass(frozen=True, slots=True)
class Unreadable(Generic[_Status]):
    """An object without its spec: enough to report on it."""

    metadata: ObjectMeta
    status: _Status


def read_if_possible(document: Mapping[str, Any]) -> TweetBot | None:
    """Return a bot among others, or None for one that cannot be read: it is told so when it is looked at by itself."""
    try:
        return TweetBot.model_validate(document)
    except ValidationError:
        return None


def read_without_spec(document: Mapping[str, Any], status: type[_Status]) -> Unreadable[_Status]:
    """Return what can be read of an object all the same."""
    return Unreadable(
        metadata=ObjectMeta.model_validate(document["metadata"]),
        status=status.model_validate(document.get("status") or {}),
    )
