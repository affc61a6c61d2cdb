"""Gives waiting bots to Jobs: the assignment stands in each bot's status before the Job is made.

A crash in between is repaired by the bots themselves: whoever has a shared Job in its status and misses it asks for it,
and it is made for all that have it in theirs. Whoever comes too late for a Job that is there waits again.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.types import TweetBot
from tweetbot_operator import status
from tweetbot_operator.builders.job import build_job
from tweetbot_operator.builders.manifest import build_config_map
from tweetbot_operator.cluster import (
    AlreadyExistsError,
    Cluster,
    ConflictError,
    GoneError,
    RefusedError,
    TransientError,
)
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Assignment, Key, ObservedJob
from tweetbot_operator.policies.batching import CALM_SECONDS, Candidate, Group, choose_batches, is_full, is_time
from tweetbot_operator.policies.verdict import Verdict
from tweetbot_operator.reconciler import Reconciler
from tweetbot_operator.settings import OperatorSettings
from tweetbot_operator.store import Store
from tweetbot_operator.unreadable import read_if_possible
from tweetbot_operator.waiting import SHARED_JOB_SECONDS, SharedJob, Waited, Waiting
from tweetbot_operator.workqueue import TryAgainError

logger = logging.getLogger(__name__)

TURN_SECONDS = 3.0
"""How long batches are assigned at a stretch: whoever stops the operator waits for that, be the bots ever so many."""
TELL_SECONDS = 30.0
"""How long a bot waits behind others before its status says so: each such word is a write."""


class Map(Protocol):
    """`map`, or what does the same in several threads."""

    def __call__(
        self, function: Callable[[Candidate], TweetBot | None], items: Sequence[Candidate], /
    ) -> Iterable[TweetBot | None]:
        """Call the function with each item; return the answers in their order."""
        ...


class Dispatcher:
    """Makes shared Jobs."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        waiting: Waiting,
        reconciler: Reconciler,
        settings: OperatorSettings,
        operator_ca: Callable[[], str],
        ask_for: Callable[[Key], None],
        metrics: Metrics,
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
        map_all: Map = map,
    ) -> None:
        """Take, as `map_all`, what writes to several bots: side by side, for a Job waits for all of them."""
        self._map = map_all
        self._cluster = cluster
        self._store = store
        self._waiting = waiting
        self._reconciler = reconciler
        self._settings = settings
        self._operator_ca = operator_ca
        self._ask_for = ask_for
        self._metrics = metrics
        self._clock = clock
        self._uptime = uptime
        self._assigning: set[Key] = set()
        """Jobs that are made as soon as all their bots have them in their status."""

    def dispatch(self, group: Group) -> float | None:
        """Give those of a group to Jobs who have waited enough; return after how many seconds to look again."""
        began, waited = self._uptime(), self._waiting.of(group)
        limits = self._settings.batching
        with self._metrics.group_looks.measured(), _tried_again():
            # Asked once: while one batch is assigned, those who come next have not been quiet, only unheard.
            is_time = bool(waited) and self._is_time(group, waited)
            batches = choose_batches([item.candidate for item in waited], limits)
            ready = [batch for batch in batches if is_full(batch, limits) or is_time]
            room = self._count_room(group) if ready else 0
            for batch in ready[:room]:
                if self._uptime() - began > TURN_SECONDS:
                    return 0
                self._assign(batch)
            if behind := {item.bot for batch in ready[room:] for item in batch}:
                self._tell_who_is_behind(waited, behind, began)
        return CALM_SECONDS if self._waiting.of(group) else None

    def _count_room(self, group: Group) -> int:
        """Return how many more Jobs of a group may wait for nodes: bots without one take turns with those who come."""
        waiting = self._store.count_jobs_without_node(group.namespace, group.kind, group.likeness)
        return max(0, self._settings.batching.max_waiting_jobs - waiting)

    def _tell_who_is_behind(self, waited: Sequence[Waited], behind: set[Key], began: float) -> None:
        """Say in the status of those for whom there was no room for a while why they wait, once."""
        for item in waited:
            key, now = item.candidate.bot, self._uptime()
            if now - began > TURN_SECONDS:
                return
            if key in behind and not item.is_told and now - item.since >= TELL_SECONDS:
                self._reconciler.leave_behind(key)
                self._waiting.note_told(key)

    def make_job(self, job: SharedJob) -> float | None:
        """Make the Job that bots have in their status, and its manifest, where either is missing.

        Returns after how many seconds to look again, should others be about to make it.
        """
        if job.key in self._assigning:
            return SHARED_JOB_SECONDS
        with self._metrics.group_looks.measured(), _tried_again():
            if self._is_made(job.key):
                self._call_left_out(job.key)
                return None
            members = [bot for key in self._store.bots_of_job(job.key) if (bot := self._confirm(key, job.key))]
            if members and self._is_still_stopping(job.key, members[0]):
                return SHARED_JOB_SECONDS
            if members:
                self._make_job(job.key, members)
        return None

    def _is_still_stopping(self, key: Key, member: TweetBot) -> bool:
        """Tell whether a Job was made and deleted before we have heard of it, and its pod still lives."""
        try:
            self._cluster.get("Job", key)
        except GoneError:
            found = self._cluster.list_pods(key.namespace, names.run_label(member.run_id))
            pods = [self._store.put_pod(document, self._uptime()) for document in found]
            return any(pod.job_name == key.name and pod.is_live for pod in pods)
        return False

    def _is_made(self, key: Key) -> bool:
        if self._store.jobs.get(key) is None:
            return False
        try:
            self._cluster.get("ConfigMap", key)
        except GoneError:
            return False
        return True

    def _is_time(self, group: Group, waited: Sequence[Waited]) -> bool:
        """Tell whether nobody else is to be waited for."""
        preparing = self._store.count_phase(group.namespace, "Preparing")
        return is_time(
            group.kind,
            [item.since for item in waited],
            self._uptime(),
            self._settings.batching,
            are_others_expected=preparing > sum(item.candidate.is_preparing for item in waited),
        )

    def _assign(self, batch: Sequence[Candidate]) -> None:
        kind, namespace = batch[0].group.kind, batch[0].group.namespace
        is_shared = len(batch) > 1
        own_names = [candidate.job_name for candidate in batch]
        job_name = names.shared_job_name(kind, own_names) if is_shared else own_names[0]
        with self._announced(Key(namespace, job_name)):
            members = self._write_assignments(batch, job_name)
            if is_shared and members:
                self._make_job(Key(namespace, job_name), members)

    @contextmanager
    def _announced(self, key: Key) -> Iterator[None]:
        """Keep others from making a Job meanwhile: it would lack whoever has not got it in its status yet."""
        self._assigning.add(key)
        try:
            yield
        finally:
            self._assigning.discard(key)

    def _write_assignments(self, batch: Sequence[Candidate], job_name: str) -> list[TweetBot]:
        written = self._map(lambda candidate: self._write_assignment(candidate, job_name), batch)
        return [bot for bot in written if bot is not None]

    def _write_assignment(self, candidate: Candidate, job_name: str) -> TweetBot | None:
        key, likeness = candidate.bot, candidate.group.likeness
        self._waiting.drop(key)
        try:
            assignment = Assignment(job_name=job_name, own_name=candidate.job_name, likeness=likeness)
            assigned = self._reconciler.assign(key, assignment)
        except (ConflictError, TransientError) as error:
            logger.info("not assigned namespace=%s name=%s reason=%s", *key, error)
            assigned = None
        if assigned is None:
            # It comes to wait again by itself, and what is missed here is made up for by the rest.
            self._ask_for(key)
        return assigned

    def _confirm(self, key: Key, job: Key) -> TweetBot | None:
        """Return the bot as it is now, if its run still counts on the Job."""
        try:
            document = self._cluster.get(names.KIND, key)
        except GoneError:
            self._store.drop_bot(key)
            return None
        if self._store.put_bot(document):
            # To a list it is no news any more.
            self._ask_for(key)
        bot = read_if_possible(document)
        if bot is None or bot.metadata.deletion_timestamp is not None:
            return None
        run = bot.status.run
        is_wanted = run is not None and run.id == bot.run_id and run.job_name == job.name and not run.completion_time
        return bot if is_wanted else None

    def _make_job(self, key: Key, members: Sequence[TweetBot]) -> None:
        kind = members[0].status.run.job_kind if members[0].status.run else "train"
        try:
            job = self._create_or_find(kind, key, members)
            self._call_left_out(key)
            self._give_manifest(kind, job, members)
        except RefusedError as error:
            self._report_refusal(members, error)
            raise TryAgainError(f"{key.name}: {error}") from error

    def _create_or_find(self, kind: names.JobKind, key: Key, members: Sequence[TweetBot]) -> ObservedJob:
        try:
            document = self._cluster.create(build_job(kind, key.name, members, self._settings))
        except AlreadyExistsError:
            document = self._cluster.get("Job", key)
        else:
            self._metrics.jobs_created.labels(kind).inc()
            logger.info("job created namespace=%s job=%s bots=%d", *key, len(members))
        return self._store.put_job(document, self._uptime())

    def _give_manifest(self, kind: names.JobKind, job: ObservedJob, members: Sequence[TweetBot]) -> None:
        """Make the manifest, in the order of the Job's owners: results are told by it."""
        by_uid = {bot.metadata.uid: bot for bot in members}
        bots = [by_uid[owner.uid] for owner in job.owners if owner.uid in by_uid]
        if len(bots) < len(job.owners):
            # Somebody has left since, and the manifest can be made for all or for none: those who stay wait again.
            if job.state in {"active", "suspended"} and not job.is_deleting and not self._is_made(job.key):
                self._cluster.delete("Job", job.key, job.uid)
            return
        self._cluster.apply(build_config_map(kind, job, bots, self._settings, self._operator_ca()))

    def _call_left_out(self, key: Key) -> None:
        """Ask for bots that have a Job in their status which was made without them: no event tells them of it."""
        job = self._store.jobs.get(key)
        owners = {Key(key.namespace, owner.name) for owner in job.owners} if job else set()
        for bot in set(self._store.bots_of_job(key)) - owners:
            self._ask_for(bot)

    def _report_refusal(self, members: Sequence[TweetBot], error: RefusedError) -> None:
        message = f"Kubernetes refuses the Job or ConfigMap of {len(members)} bots: {error}"
        logger.warning("objects refused bots=%d reason=%s", len(members), error)
        for bot in members:
            verdict = Verdict(Reason.PENDING, message)
            self._reconciler.report(bot, status.working(bot, "Pending", verdict, self._clock()))


@contextmanager
def _tried_again() -> Iterator[None]:
    """Turn what is nobody's mistake into a wish to be called again."""
    try:
        yield
    except (ConflictError, TransientError, GoneError) as error:
        raise TryAgainError(str(error)) from error
