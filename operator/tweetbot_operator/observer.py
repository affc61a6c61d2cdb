"""Reads the world for one bot: from memory, and from the cluster where memory may lack something that matters.

What a watch has not told yet looks as if it were not there. So before a Job counts as deleted, a finished pod as lost
or a former pod as gone, the cluster itself is asked.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from tweetbot_api import names
from tweetbot_api.status import Run
from tweetbot_api.types import TweetBot
from tweetbot_operator.cluster import Cluster
from tweetbot_operator.fetching import fetch_job
from tweetbot_operator.inbox import Attempt, Inbox
from tweetbot_operator.observed import Key, Observed, ObservedJob, ObservedPod, QueueWord, WarningEvent, find_laggard
from tweetbot_operator.policies.queue import tell_quota
from tweetbot_operator.queue_places import QueuePlaces
from tweetbot_operator.reading import read_warning, read_workloads
from tweetbot_operator.sharing import is_shared
from tweetbot_operator.situation import JOB_CHECK_SECONDS
from tweetbot_operator.store import Store, read_key

_PATIENCE = timedelta(seconds=15)


class Observer:
    """Joins what the watches, the trainers and the cluster say about a bot."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        inbox: Inbox,
        operator_ca: Callable[[], str],
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._inbox = inbox
        self._operator_ca = operator_ca
        self._clock = clock
        self._listening_since = clock()
        self._uptime = uptime
        self._places = QueuePlaces(cluster, uptime)

    def observe(self, bot: TweetBot) -> Observed:
        """Return the world as far as it matters to this bot."""
        run = bot.status.run
        if run is not None and _is_before_purge(bot, run):
            self._fetch_jobs(bot, run)
        if run is None or run.id != bot.run_id or run.completion_time is not None:
            jobs = self._find_jobs(bot)
            return Observed(other_jobs=jobs, needed_jobs=self._find_needed(bot, jobs), operator_ca=self._operator_ca())
        found = self._find_job(bot, run)
        job = found if found and found.is_owned_by(bot.metadata.uid) else None
        pods = self._find_pods(bot, run, job)
        other_jobs = tuple(other for other in self._find_jobs(bot) if other.key.name != run.job_name)
        former_pods = self._find_former_pods(bot, run) if job is None else []
        key, attempt = Key.of(bot.metadata), Attempt(bot.metadata.uid, run.id, run.job_kind, run.attempt)
        return Observed(
            job=job,
            pods=pods,
            batch_index=_find_index(bot, job),
            other_jobs=other_jobs,
            needed_jobs=self._find_needed(bot, other_jobs),
            is_left_out=found is not None and job is None,
            is_job_deleted=run.job_name is not None and self._store.is_job_deleted(_job_key(bot, run.job_name)),
            other_live_pods=tuple(pod for pod in former_pods if pod.is_live),
            report=self._inbox.report(key, attempt),
            result=self._inbox.result(key, attempt),
            warning=self._find_warning(job, find_laggard(pods, job.nodes if job else 1)),
            queue_word=self._ask_queue(bot, job),
            listening_since=self._listening_since,
            operator_ca=self._operator_ca(),
        )

    def _find_jobs(self, bot: TweetBot) -> tuple[ObservedJob, ...]:
        return tuple(job for job in self._store.jobs.of(Key.of(bot.metadata)) if job.is_owned_by(bot.metadata.uid))

    def _find_needed(self, bot: TweetBot, jobs: tuple[ObservedJob, ...]) -> frozenset[Key]:
        shared = (job.key for job in jobs if job.is_shared)
        return frozenset(key for key in shared if set(self._store.bots_of_job(key)) - {Key.of(bot.metadata)})

    def _find_job(self, bot: TweetBot, run: Run) -> ObservedJob | None:
        if run.job_name is None:
            return None
        key = _job_key(bot, run.job_name)
        job = self._store.jobs.get(key)
        is_stale = self._uptime() - self._store.jobs.last_seen(key) > JOB_CHECK_SECONDS
        if (run.job_uid is not None and job is None) or (job is not None and is_stale):
            job = fetch_job(self._cluster, self._store, key, self._uptime())
            if job is None:
                self._store.drop_job(key)
        return job

    def _find_pods(self, bot: TweetBot, run: Run, job: ObservedJob | None) -> tuple[ObservedPod, ...]:
        """Return the pods of the current attempt, newest first; not those of a deleted Job that had the same name."""
        if run.job_name is None:
            return ()
        key = _job_key(bot, run.job_name)
        pods = self._known_pods(key, job)
        if job is not None and job.is_finished and not any(pod.finished for pod in pods if pod.index == 0):
            self._fetch_pods(bot, run)
            pods = self._known_pods(key, job)
        return tuple(sorted(pods, key=lambda pod: pod.created, reverse=True))

    def _known_pods(self, key: Key, job: ObservedJob | None) -> list[ObservedPod]:
        return [pod for pod in self._store.pods.of(key) if job is None or pod.job_uid == job.uid]

    def _find_warning(self, job: ObservedJob | None, pod: ObservedPod | None) -> WarningEvent | None:
        """Ask for Events only where nothing else can tell: a Job long without a pod, a pod long without a container."""
        if job is None or job.state != "active" or job.is_deleting or self._clock() - job.created < _PATIENCE:
            return None
        if pod is not None and not pod.is_starting:
            return None
        return read_warning(self._cluster.list_warnings(job.key.namespace, pod.uid if pod else job.uid))

    def _ask_queue(self, bot: TweetBot, job: ObservedJob | None) -> QueueWord | None:
        """Ask Kueue about a Job that waits, and once more when it is admitted; else status tells what it said."""
        if job is None or job.queue is None or job.is_finished:
            return None
        known = tell_quota(bot.status)
        if not job.is_held_back and known and known.has_quota:
            return None
        word = read_workloads(self._cluster.list_workloads(job.key.namespace, job.uid))
        return replace(word, place=self._places.find(job)) if word and not word.has_quota else word

    def _find_former_pods(self, bot: TweetBot, run: Run) -> list[ObservedPod]:
        """Return the pods that were made before the Job that is to be made now, for this attempt or an earlier one.

        The cluster is asked before a GPU is, and wherever there was an attempt before; a first prepare Job needs no
        more than what is known, nor does a first shared Job, which the dispatcher is about to make.
        """
        if run.attempt == 1 and (run.job_kind == "prepare" or is_shared(bot, run)):
            return self._store.pods.of(_job_key(bot, run.job_name)) if run.job_name else []
        pods = self._fetch_pods(bot, run)
        if run.job_kind == "purge":
            # Whoever leaves a pod that it shares writes nothing more there.
            return [pod for pod in pods if not self._is_shared(pod)]
        return [pod for pod in pods if pod.kind in {run.job_kind, "train"}]

    def _is_shared(self, pod: ObservedPod) -> bool:
        job = self._store.jobs.get(Key(pod.key.namespace, pod.job_name))
        return job is not None and job.is_shared

    def _fetch_jobs(self, bot: TweetBot, run: Run) -> None:
        """Ask the cluster for the run's Jobs: one that nobody has heard of yet would write beside a purge."""
        for document in self._cluster.iterate("Job", bot.metadata.namespace, names.run_label(run.id)):
            self._store.put_job(document, self._uptime())

    def _fetch_pods(self, bot: TweetBot, run: Run) -> list[ObservedPod]:
        """Ask the cluster for the run's pods and correct the memory by the answer."""
        found = self._cluster.list_pods(bot.metadata.namespace, names.run_label(run.id))
        present = {read_key(document) for document in found}
        for pod in self._store.pods.of(_job_key(bot, run.job_name)) if run.job_name else ():
            if pod.key not in present:
                self._store.pods.drop(pod.key)
        return [self._store.put_pod(document, self._uptime()) for document in found]


def _is_before_purge(bot: TweetBot, run: Run) -> bool:
    """Tell whether the bot is being deleted and its purge Job is not known to be there."""
    return bot.metadata.deletion_timestamp is not None and (run.job_kind != "purge" or run.job_uid is None)


def _job_key(bot: TweetBot, job_name: str) -> Key:
    return Key(bot.metadata.namespace, job_name)


def _find_index(bot: TweetBot, job: ObservedJob | None) -> int:
    uids = [owner.uid for owner in job.owners] if job else []
    return uids.index(bot.metadata.uid) if bot.metadata.uid in uids else 0
