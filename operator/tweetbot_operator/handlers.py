"""kopf adapters: an event goes to the feed. kopf's part is watching; it writes nothing to anybody's object."""

from collections.abc import Iterable
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from tweetbot_api import names
from tweetbot_operator.feed import OURS, Feed

_OUR_LABELS = {names.LABEL_MANAGED_BY: names.MANAGED_BY}
_CONNECT_SECONDS = 10
_LIST_CHUNK = 100
"""Objects that are in memory as a whole at a time: 500 cost ten megabytes that Python keeps."""
_IDLE_SECONDS = 0.05
_WATCH_SECONDS = 60
_WATCH_PATIENCE_SECONDS = 75
"""A watch is opened anew each minute, from where it was: one that is dead without a sign is found in this time."""


def build_registry(feed: Feed) -> kopf.OperatorRegistry:
    """Return the handlers of TweetBots and TweetBotBatches, and of the Jobs and pods that carry our label."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def see_bot(event: Any, **_: Any) -> None:
        feed.see_bot(event)

    @kopf.on.event(names.GROUP, names.VERSION, names.BATCH_PLURAL, registry=registry)
    async def see_bot_batch(event: Any, **_: Any) -> None:
        feed.see_bot_batch(event)

    @kopf.on.event("batch", "v1", "jobs", labels=_OUR_LABELS, registry=registry)
    async def see_job(event: Any, **_: Any) -> None:
        feed.see_job(event)

    @kopf.on.event("", "v1", "pods", labels=_OUR_LABELS, registry=registry)
    async def see_pod(event: Any, **_: Any) -> None:
        feed.see_pod(event)

    @kopf.on.login(registry=registry)
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_via_client(**kwargs)

    return registry


def build_kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: no Events, no peers, no watching of CRDs or namespaces; only our objects are sent."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.networking.connect_timeout = _CONNECT_SECONDS
    settings.watching.connect_timeout = _CONNECT_SECONDS
    settings.watching.server_timeout = _WATCH_SECONDS
    settings.watching.client_timeout = _WATCH_PATIENCE_SECONDS
    settings.watching.chunk_size = _LIST_CHUNK
    settings.watching.label_selectors["batch", "v1", "jobs"] = OURS
    settings.watching.label_selectors["", "v1", "pods"] = OURS
    settings.queueing.idle_timeout = _IDLE_SECONDS
    settings.persistence.diffbase_storage = _NoMemory()
    return settings


class _NoMemory(kopf.DiffBaseStorage):
    """What kopf remembers of objects to tell their changes: nobody asks, and it would copy each one at every event."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        """Return an object without content."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> None:
        """Return nothing."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


class NoMemories(ResourceMemories):
    """What kopf remembers of each object between its events, a kilobyte: handlers of events have no use for it."""

    async def recall(self, *arguments: Any, **options: Any) -> ResourceMemory:
        """Return a memory that is not kept."""
        return await super().recall(*arguments, **{**options, "ephemeral": True})


def count_watches(task_names: Iterable[str]) -> int:
    """Return how many watches kopf keeps open, by the names of its tasks: it has no other way to tell."""
    return sum(name.startswith("watcher for ") for name in task_names)
