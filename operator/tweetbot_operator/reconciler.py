"""One look at one bot: observe, plan, make the objects, write the status once, then tell of it.

A crash between any two lines is repaired by the next look, for nothing is remembered here.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.problems import tell_problems
from tweetbot_api.status import TweetBotStatus
from tweetbot_api.types import TweetBot
from tweetbot_operator import status
from tweetbot_operator.builders.event import Announcement, build_event
from tweetbot_operator.builders.manifest import Manifest
from tweetbot_operator.cluster import (
    AlreadyExistsError,
    Cluster,
    ClusterError,
    ConflictError,
    GoneError,
    RefusedError,
    TransientError,
)
from tweetbot_operator.deletion import explain_refusal
from tweetbot_operator.inbox import Inbox
from tweetbot_operator.merge_patch import diff
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Assignment, Document, Key, Observed
from tweetbot_operator.observer import Observer
from tweetbot_operator.plan import make_plan
from tweetbot_operator.policies.batching import hash_likeness
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.reading import read_job
from tweetbot_operator.settings import OperatorSettings
from tweetbot_operator.situation import Plan
from tweetbot_operator.store import Store
from tweetbot_operator.unreadable import read_if_possible, read_without_spec
from tweetbot_operator.waiting import Waiting
from tweetbot_operator.workqueue import TryAgainError

logger = logging.getLogger(__name__)


class Reconciler:
    """Brings bots closer to their specs, one step at a time."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        inbox: Inbox,
        observer: Observer,
        waiting: Waiting,
        settings: OperatorSettings,
        metrics: Metrics,
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._inbox = inbox
        self._observer = observer
        self._waiting = waiting
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._uptime = uptime

    def reconcile(self, key: Key) -> float | None:
        """Look at one bot; return after how many seconds to look again, or None if an event will tell."""
        with self._metrics.bot_looks.measured():
            try:
                return self._reconcile(key)
            except (ConflictError, TransientError, GoneError) as error:
                raise TryAgainError(str(error)) from error

    def _reconcile(self, key: Key) -> float | None:
        stored = self._store.bot(key)
        if stored is None:
            self._inbox.forget(key)
            self._waiting.drop(key)
            return None
        document = stored.read()
        try:
            bot = TweetBot.model_validate(document)
        except ValidationError as error:
            self._waiting.drop(key)
            self._refuse_spec(document, error)
            return None
        observed = self._observer.observe(bot)
        plan = make_plan(bot, observed, self._settings, self._clock())
        self._note_waiting(bot, plan)
        self._make_objects(bot, plan)
        if plan.status is not None:
            self._write_status(bot, plan.status)
        if plan.finalizers is not None:
            self._write_finalizers(bot, plan.finalizers)
        self._settle(key, plan, observed)
        for announcement in plan.events:
            self._emit(bot, announcement)
        return plan.requeue_after

    def assign(self, key: Key, assignment: Assignment) -> TweetBot | None:
        """Give a waiting attempt to a Job; return the bot as it is then, or None if it waits for none any more."""
        settings = self._settings
        return self._decide(
            key, {"assignment": assignment}, lambda bot, plan: _is_for_it(bot, plan, assignment, settings)
        )

    def leave_behind(self, key: Key) -> None:
        """Have a waiting attempt say that it is behind others; its result, if it has one, is stored."""
        self._decide(key, {"is_behind": True}, lambda _, plan: plan.candidate is not None or _job_of(plan) is None)

    def _decide(
        self, key: Key, known: Mapping[str, Any], is_meant: Callable[[TweetBot, Plan], bool]
    ) -> TweetBot | None:
        """Write the status that follows from what the dispatcher knows besides, if it is what the dispatcher means."""
        stored = self._store.bot(key)
        bot = read_if_possible(stored.read()) if stored else None
        if bot is None:
            return None
        observed = replace(self._observer.observe(bot), **known)
        plan = make_plan(bot, observed, self._settings, self._clock())
        if plan.status is None or not is_meant(bot, plan):
            return None
        document = self._write_status(bot, plan.status)
        if document is None:
            return None
        self._settle(key, plan, observed)
        for announcement in plan.events:
            self._emit(bot, announcement)
        return TweetBot.model_validate(document)

    def report(self, bot: TweetBot, wanted: TweetBotStatus) -> None:
        """Write a status that no plan of this bot's own has told."""
        self._write_status(bot, wanted)

    def _note_waiting(self, bot: TweetBot, plan: Plan) -> None:
        if plan.candidate is not None:
            self._waiting.put(plan.candidate, self._uptime())
        else:
            self._waiting.drop(Key.of(bot.metadata))
        if plan.needs_shared_job and bot.status.run and bot.status.run.job_name:
            self._waiting.ask_for_job(Key(bot.metadata.namespace, bot.status.run.job_name))

    def _make_objects(self, bot: TweetBot, plan: Plan) -> None:
        try:
            for manifest in plan.create:
                self._create_job(bot, manifest)
            for manifest in plan.apply:
                self._cluster.apply(manifest)
        except RefusedError as error:
            message = f"Kubernetes refuses the run's Job or ConfigMap: {error}"
            logger.warning("objects refused namespace=%s name=%s reason=%s", *Key.of(bot.metadata), error)
            if bot.metadata.deletion_timestamp is None:
                refused = status.working(bot, "Pending", Verdict(Reason.PENDING, message), self._clock())
            else:
                refused = status.working(bot, "Deleting", explain_refusal(message), self._clock())
            self._write_status(bot, refused)
            raise TryAgainError(message) from error
        for job in plan.delete:
            self._delete_job(job.key, job.uid)

    def _create_job(self, bot: TweetBot, manifest: Manifest) -> None:
        """Make a Job, or take over the one that has its name if this very bot owns it."""
        self._confirm(bot)
        key = Key(bot.metadata.namespace, manifest["metadata"]["name"])
        try:
            document = self._cluster.create(manifest)
        except AlreadyExistsError:
            document = self._cluster.get("Job", key)
            if not read_job(document).is_owned_by(bot.metadata.uid):
                raise RefusedError(f"there is a Job {key.name} that belongs to somebody else; delete it") from None
        else:
            kind = manifest["metadata"]["labels"][names.LABEL_JOB_KIND]
            self._metrics.jobs_created.labels(kind).inc()
            logger.info("job created namespace=%s name=%s job=%s", *Key.of(bot.metadata), key.name)
        self._store.put_job(document, self._uptime())

    def _confirm(self, bot: TweetBot) -> None:
        """Make sure that the bot is still as we know it: an attempt of the past must not be tried again."""
        document = self._cluster.get(names.KIND, Key.of(bot.metadata))
        if document["metadata"]["resourceVersion"] != bot.metadata.resource_version:
            self._store.put_bot(document)
            raise ConflictError(f"the TweetBot {bot.metadata.name} has changed meanwhile")

    def _delete_job(self, key: Key, uid: str) -> None:
        try:
            self._cluster.delete("Job", key, uid)
            logger.info("useless job deleted namespace=%s job=%s", key.namespace, key.name)
        except (GoneError, ConflictError):
            self._store.drop_job(key)

    def _write_status(self, bot: status.Bot, wanted: TweetBotStatus) -> Document | None:
        """Write what differs and return the bot as it is then; raise ConflictError if somebody wrote meanwhile."""
        patch = diff(bot.status.to_wire(), wanted.to_wire())
        if not patch:
            return None
        try:
            document = self._cluster.patch_status(Key.of(bot.metadata), bot.metadata.resource_version, patch)
        except GoneError:
            self._store.drop_bot(Key.of(bot.metadata))
            return None
        self._store.put_bot(document)
        self._metrics.status_writes.inc()
        self._metrics.runs.note(bot.status, wanted)
        return document

    def _write_finalizers(self, bot: TweetBot, finalizers: Sequence[str]) -> None:
        """Write the finalizers; the last one that goes lets the bot go."""
        try:
            document = self._cluster.patch_finalizers(Key.of(bot.metadata), bot.metadata.resource_version, finalizers)
        except GoneError:
            self._store.drop_bot(Key.of(bot.metadata))
            return
        self._store.put_bot(document)

    def _settle(self, key: Key, plan: Plan, observed: Observed) -> None:
        """Tell the trainer that its result is stored, and forget what is of no use any more."""
        if observed.result is not None and plan.candidate is None:
            self._inbox.acknowledge(key, observed.result)
        if plan.status is not None and plan.status.run is not None and plan.status.run.completion_time is not None:
            self._inbox.forget(key)
        elif plan.status is not None and plan.status.phase == "Queued":
            # The trainer that its queue has stopped: the next one of the same attempt speaks for itself.
            self._inbox.forget(key)

    def _emit(self, bot: TweetBot, announcement: Announcement) -> None:
        """Make an Event. It may be lost: status says all that matters."""
        try:
            self._cluster.create(build_event(bot, announcement, self._clock()))
        except ClusterError as error:
            logger.debug("event not made namespace=%s name=%s reason=%s", *Key.of(bot.metadata), error)

    def _refuse_spec(self, document: Document, error: ValidationError) -> None:
        """Report a spec that this operator cannot read: one bad object must not stop the others."""
        bot = read_without_spec(document, TweetBotStatus)
        verdict = Verdict(Reason.INVALID_SPEC, tell_problems(error)[0])
        self._write_status(bot, status.stalled(bot, verdict, self._clock()))


def _job_of(plan: Plan) -> str | None:
    """Return the Job that the attempt counts on by the plan's status."""
    run = plan.status.run if plan.status else None
    return run.job_name if run else None


def _is_for_it(bot: TweetBot, plan: Plan, assignment: Assignment, settings: OperatorSettings) -> bool:
    """Tell whether the plan gives the Job to the attempt that waits for it, and the bot is still like its company."""
    before, run = bot.status.run, plan.status.run if plan.status else None
    is_given = before is not None and before.job_name == assignment.job_name
    if run is None or run.job_name != assignment.job_name or is_given:
        return False
    own_name = names.job_name(bot.metadata.name, run.id, run.job_kind, run.attempt)
    return own_name == assignment.own_name and hash_likeness(bot, run.job_kind, settings) == assignment.likeness
