"""Events: what `kubectl describe` tells of a run's turns. Few, and each at most once: its name is what it is about."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.types import TweetBot

_LONGEST_MESSAGE = 1024
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something that happened to a run and that its owner may want to know."""

    reason: Reason
    message: str
    subject: str | None
    """What it is about, such as the Job of an attempt; the same reason about the same subject is told once."""
    is_warning: bool = False


def build_event(bot: TweetBot, announcement: Announcement, now: datetime) -> dict[str, Any]:
    """Return the core/v1 Event manifest of an announcement."""
    metadata = bot.metadata
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = names.digest(metadata.uid, announcement.reason, announcement.subject or "")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata.name[:_LONGEST_NAME]}.{identity}", "namespace": metadata.namespace},
        "type": "Warning" if announcement.is_warning else "Normal",
        "reason": str(announcement.reason),
        "message": announcement.message[:_LONGEST_MESSAGE],
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": metadata.uid,
        },
        "source": {"component": names.MANAGED_BY},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
