"""One look at one TweetBotBatch: observe, plan, make bots, write the status once.

A crash between any two lines is repaired by the next look.
"""

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from tweetbot_api import names
from tweetbot_api.bot_batch import TweetBotBatch, TweetBotBatchStatus
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import HandlesMessage
from tweetbot_api.problems import tell_problems
from tweetbot_operator.bot_batches import report
from tweetbot_operator.bot_batches.list_job import build_handles
from tweetbot_operator.bot_batches.member import Member, read_batch
from tweetbot_operator.bot_batches.observer import BatchObserver
from tweetbot_operator.bot_batches.plan import BatchPlan, make_batch_plan
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.builders.manifest import Manifest
from tweetbot_operator.cluster import (
    AlreadyExistsError,
    Cluster,
    ConflictError,
    GoneError,
    RefusedError,
    TransientError,
)
from tweetbot_operator.merge_patch import diff
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Document, Key
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.settings import OperatorSettings
from tweetbot_operator.unreadable import read_without_spec
from tweetbot_operator.workqueue import TryAgainError

logger = logging.getLogger(__name__)


class BatchReconciler:
    """Brings the bots of TweetBotBatches closer to what is wanted, one step at a time."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        roster: Roster,
        observer: BatchObserver,
        settings: OperatorSettings,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._roster = roster
        self._observer = observer
        self._settings = settings
        self._metrics = metrics
        self._clock = clock

    def reconcile(self, key: Key) -> float | None:
        """Look at one batch; return after how many seconds to look again, or None if an event will tell."""
        document = self._roster.batch(key)
        if document is None:
            self._observer.forget(key)
            return None
        with self._metrics.bot_batch_looks.measured():
            try:
                return self._reconcile(document)
            except (ConflictError, TransientError, GoneError) as error:
                raise TryAgainError(str(error)) from error

    def _reconcile(self, document: Document) -> float | None:
        try:
            batch = TweetBotBatch.model_validate(document)
        except ValidationError as error:
            self._refuse_spec(document, error)
            return None
        key = Key.of(batch.metadata)
        observed = self._observer.observe(batch)
        plan = make_batch_plan(batch, observed, self._settings, self._clock())
        if plan.status is not None:
            self._write_status(batch, plan.status)
        try:
            self._read_list(plan)
            self._make_bots(batch, plan)
        except RefusedError as error:
            logger.warning("bot refused namespace=%s batch=%s reason=%s", *key, error)
            self._observer.note_refusal(key, str(error))
            return 0
        if plan.create or plan.retry or plan.read:
            self._observer.note_refusal(key, None)
        return plan.requeue_after

    def keep_handles(self, message: HandlesMessage) -> None:
        """Store the handles that a Job has read for a batch."""
        self._cluster.apply(build_handles(message))

    def _read_list(self, plan: BatchPlan) -> None:
        if plan.read:
            manifest, job = plan.read
            self._cluster.apply(manifest)
            # One that is there is the batch's own: its uid is part of the name.
            with contextlib.suppress(AlreadyExistsError):
                self._cluster.create(job)
        if plan.delete:
            with contextlib.suppress(GoneError):
                self._cluster.delete("Job", plan.delete.key, plan.delete.uid)

    def _make_bots(self, batch: TweetBotBatch, plan: BatchPlan) -> None:
        for manifest in plan.create:
            self._make_bot(batch, manifest)
        for member in plan.retry:
            self._retry(batch, member)

    def _make_bot(self, batch: TweetBotBatch, manifest: Manifest) -> None:
        """Make a bot, or take note of the one that has its name."""
        name = manifest["metadata"]["name"]
        try:
            document = self._cluster.create(manifest)
        except AlreadyExistsError:
            document = self._cluster.get(names.KIND, Key(batch.metadata.namespace, name))
            owner = read_batch(document)
            if owner is None or owner.uid != batch.metadata.uid:
                self._observer.note_taken(Key.of(batch.metadata), name, document["metadata"]["uid"])
                return
        self._roster.put_member(document)

    def _retry(self, batch: TweetBotBatch, member: Member) -> None:
        """Have a failed bot trained again; if it has changed meanwhile, the next look decides anew."""
        token = batch.spec.retry_failed
        try:
            document = self._cluster.patch_run_id(member.key, member.resource_version, token)
        except GoneError:
            self._roster.drop_member(member.key)
            return
        self._roster.put_member(document)

    def _write_status(self, batch: report.Batch, wanted: TweetBotBatchStatus) -> None:
        """Write what differs; raise ConflictError if somebody wrote since the batch was read."""
        patch = diff(batch.status.to_wire(), wanted.to_wire())
        if not patch:
            return
        key = Key.of(batch.metadata)
        try:
            document = self._cluster.patch_status(key, batch.metadata.resource_version, patch, names.BATCH_KIND)
        except GoneError:
            self._roster.drop_batch(key)
            return
        self._roster.put_batch(document)
        self._observer.note_written(key)

    def _refuse_spec(self, document: Document, error: ValidationError) -> None:
        """Report a spec that this operator cannot read: one bad object must not stop the others."""
        batch = read_without_spec(document, TweetBotBatchStatus)
        verdict = Verdict(Reason.INVALID_SPEC, tell_problems(error)[0])
        self._write_status(batch, report.stalled(batch, verdict, self._clock()))
