"""What a TweetBotBatch needs to know of one of its bots: a few facts, read once from each watch event."""

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tweetbot_api import names
from tweetbot_operator.observed import Document, Key, Owner

LONGEST_MESSAGE = 160
_ENDED = {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A bot that a TweetBotBatch owns."""

    key: Key
    batch: Owner
    resource_version: str
    phase: str
    is_settled: bool
    """Whether the status speaks of the present spec."""
    run_token: str | None
    """The bot's `spec.runID`."""
    percent: int
    gpu_seconds: int
    seconds: float | None
    """From acceptance to the end of the last run."""
    loss: float | None
    reason: str
    """Why it failed, and the beginning of the sentence that goes with it; empty for others."""
    message: str
    is_deleting: bool

    @property
    def has_ended(self) -> bool:
        """Whether it will do no more by itself."""
        return self.is_settled and self.phase in _ENDED

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a model."""
        return self.has_ended and self.phase == "Failed"


def read_batch(document: Document) -> Owner | None:
    """Return the TweetBotBatch that owns a bot, or None for a bot of its own."""
    for owner in document["metadata"].get("ownerReferences") or ():
        if owner["kind"] == names.BATCH_KIND and owner["apiVersion"] == names.API_VERSION:
            return Owner(sys.intern(owner["name"]), sys.intern(owner["uid"]))
    return None


def read_member(document: Document, batch: Owner) -> Member:
    """Return the facts of a bot."""
    metadata, status = document["metadata"], document.get("status") or {}
    run = status.get("run") or {}
    phase = status.get("phase") or "Pending"
    reason, message = _read_cause(status) if phase == "Failed" else ("", "")
    return Member(
        key=Key(metadata["namespace"], metadata["name"]),
        batch=batch,
        resource_version=metadata["resourceVersion"],
        phase=sys.intern(phase),
        is_settled=status.get("observedGeneration") == metadata.get("generation"),
        run_token=document["spec"].get("runID"),
        percent=(status.get("progress") or {}).get("percent", 0),
        gpu_seconds=run.get("gpuSeconds", 0),
        seconds=_measure(run),
        loss=(status.get("evaluation") or {}).get("loss"),
        reason=reason,
        message=message,
        is_deleting="deletionTimestamp" in metadata,
    )


def _read_cause(status: dict[str, Any]) -> tuple[str, str]:
    conditions = status.get("conditions") or ()
    ready: dict[str, Any] = next((condition for condition in conditions if condition["type"] == "Ready"), {})
    cause = status.get("failure") or ready
    return sys.intern(cause.get("reason", "")), cause.get("message", "")[:LONGEST_MESSAGE]


def _measure(run: dict[str, Any]) -> float | None:
    if not run.get("completionTime"):
        return None
    return (datetime.fromisoformat(run["completionTime"]) - datetime.fromisoformat(run["startTime"])).total_seconds()
