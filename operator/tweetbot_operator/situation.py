"""What a plan is made from, and what a plan is: two values."""

from dataclasses import dataclass
from datetime import datetime

from tweetbot_api.status import TweetBotStatus
from tweetbot_api.types import TweetBot
from tweetbot_operator.builders.event import Announcement
from tweetbot_operator.builders.manifest import Manifest
from tweetbot_operator.observed import Observed, ObservedJob
from tweetbot_operator.policies.batching import Candidate
from tweetbot_operator.settings import OperatorSettings

JOB_CHECK_SECONDS = 300
"""How often a Job that is at work is looked at without being asked: an event of a watch can be lost."""
START_CHECK_SECONDS = 20
"""How often a Job whose pod is missing or does not start is looked at: only Events tell why, and none is watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that a plan depends on."""

    bot: TweetBot
    observed: Observed
    settings: OperatorSettings
    now: datetime
    """Whole seconds, as Kubernetes stores times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the shell has to do, in this order."""

    create: tuple[Manifest, ...] = ()
    """Objects that must not exist twice: one that exists is taken over only if the bot owns it."""
    apply: tuple[Manifest, ...] = ()
    """Objects that are brought into this form, whether they exist or not."""
    candidate: Candidate | None = None
    """The attempt that waits for others to share a Job with; what its trainer has said waits with it."""
    needs_shared_job: bool = False
    """Whether the Job that stands in status, or its manifest, is to be made for all bots that share it."""
    delete: tuple[ObservedJob, ...] = ()
    finalizers: tuple[str, ...] | None = None
    """The finalizers that the bot is to have; None if those it has are right. Never together with a status."""
    status: TweetBotStatus | None = None
    """The new status; None if the present one is right."""
    events: tuple[Announcement, ...] = ()
    requeue_after: float | None = None
    """Seconds until the bot must be looked at again; None if an event will tell."""

    def __post_init__(self) -> None:
        # Each is a write at the version that was observed, so the second one would always conflict.
        if self.finalizers is not None and self.status is not None:
            raise ValueError("a plan writes finalizers or a status, not both")
