"""What Prometheus is told. Labels are kinds, phases, reasons and results, never an object's name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, get_args

from tweetbot_api.conditions import Reason
from tweetbot_api.names import JobKind
from tweetbot_api.status import Phase, TweetBotStatus
from tweetbot_operator.families import Families
from tweetbot_operator.status import known_reason
from tweetbot_operator.workqueue import TryAgainError

NO_ANSWER: Final = "none"
"""The code of a request that got no answer."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MINUTE, _HOUR = 60, 3600
_RUN_SECONDS: Final = (
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 20, 40)),
    *(hours * _HOUR for hours in (1, 2, 4, 8, 16, 32)),
)
_WAIT_SECONDS: Final = (1, 2, 5, 10, 30, *_RUN_SECONDS)


class Metrics:
    """The operator's counters, and gauges that are read from memory when they are asked for."""

    def __init__(self, version: str) -> None:
        self.families = families = Families()
        self.bot_looks = Looks("tweetbot", "bot", families)
        self.group_looks = Looks("tweetbot_group", "group of bots that may share Jobs", families)
        self.bot_batch_looks = Looks("tweetbot_bot_batch", "TweetBotBatch", families)
        self.requests = Requests(families)
        self._pod_waits = families.histogram(
            "tweetbot_pod_wait_seconds",
            "Time from the making of a pod until a node had it, by kind of its Job.",
            "kind",
            buckets=_WAIT_SECONDS,
        )
        self.status_writes = families.counter("tweetbot_status_writes", "Writes of a bot's status.")
        self.jobs_created = families.counter("tweetbot_jobs_created", "Jobs made, by kind.", "kind")
        self.runs = Runs(families)
        self.posts = families.counter(
            "tweetbot_progress_posts", "Messages of trainers, by path and HTTP status.", "path", "code"
        )
        families.gauges("tweetbot_build_info", "The operator's version.", "version", lambda: {version: 1})

    def note_pod_wait(self, kind: str, seconds: float) -> None:
        """Count for how long a pod of a kind of Job has waited; its labels are anybody's to write."""
        if kind in get_args(JobKind):
            self._pod_waits.labels(kind).observe(seconds)

    def watch_acting(self, may_act: Callable[[], bool]) -> None:
        """Read whether this replica acts whenever the metrics are asked for."""
        text = "1 on the replica that acts, which holds the Lease, and 0 on one that stands by."
        self.families.gauge("tweetbot_acting", text, may_act)

    def watch(
        self,
        count_phases: Callable[[], Mapping[str, int]],
        queue_depth: Callable[[], int],
        bot_batch_queue_depth: Callable[[], int],
        job_waits: Callable[[], Mapping[str, float]],
    ) -> None:
        """Read these of a replica that acts whenever the metrics are asked for."""
        gauge, gauges = self.families.gauge, self.families.gauges
        gauges("tweetbot_bots", "TweetBots by phase.", "phase", lambda: _with_zeros(get_args(Phase), count_phases()))
        gauge("tweetbot_queue_depth", "Bots that wait to be looked at.", queue_depth)
        gauge("tweetbot_bot_batch_queue_depth", "TweetBotBatches that wait to be looked at.", bot_batch_queue_depth)
        gauges(
            "tweetbot_longest_job_wait_seconds",
            "Age of the oldest Job that waits for a node or in its queue, by kind; 0 if none does.",
            "kind",
            lambda: _with_zeros(get_args(JobKind), job_waits()),
        )

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return self.families.render()


class Looks:
    """How often objects of a kind are looked at, for how long, and what comes of it."""

    def __init__(self, prefix: str, kind: str, families: Families) -> None:
        self._results = families.counter(
            f"{prefix}_reconciles",
            f"Looks at a {kind}, by what came of it: `succeeded`, `retried` (by nobody's mistake) or `failed`.",
            "result",
        )
        for result in ("succeeded", "retried", "failed"):
            self._results.labels(result)
        self._seconds = families.histogram(f"{prefix}_reconcile_seconds", f"Duration of one look at a {kind}.")

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Count the look that the body takes."""
        with self._seconds.time():
            try:
                yield
            except TryAgainError:
                self._results.labels("retried").inc()
                raise
            except Exception:
                self._results.labels("failed").inc()
                raise
        self._results.labels("succeeded").inc()


class Runs:
    """What becomes of runs: each status that is written is compared with the one before it, so nothing counts twice."""

    def __init__(self, families: Families) -> None:
        self._finished = families.counter("tweetbot_runs_finished", "Runs that ended, by phase.", "phase")
        self._failed = families.counter("tweetbot_runs_failed", "Runs that failed, by reason.", "reason")
        self._seconds = families.histogram(
            "tweetbot_run_seconds",
            "Time from the start of a run to its end, waiting included, by phase.",
            "phase",
            buckets=_RUN_SECONDS,
        )
        self._gpu_seconds = families.counter(
            "tweetbot_gpu_seconds",
            "GPU time of train attempts, added when they end. What an edit or a deletion cuts off is not in it.",
        )
        # Prometheus sees no increase where a series begins with one: the first failure would not show.
        for phase in ("Succeeded", "Failed"):
            self._finished.labels(phase)
            self._seconds.labels(phase)
        for reason in Reason:
            self._failed.labels(reason)

    def note(self, before: TweetBotStatus, after: TweetBotStatus) -> None:
        """Count what a status tells that the one before it, which it has replaced, did not."""
        run = after.run
        if run is None:
            return
        known = before.run if before.run is not None and before.run.id == run.id else None
        if known is not None:
            # A purge takes the place of the run and counts from zero.
            self._gpu_seconds.inc(max(0, run.gpu_seconds - known.gpu_seconds))
        if run.completion_time is not None and (known is None or known.completion_time is None):
            self._note_end(after, (run.completion_time - run.start_time).total_seconds())

    def _note_end(self, status: TweetBotStatus, seconds: float) -> None:
        self._finished.labels(status.phase).inc()
        self._seconds.labels(status.phase).observe(seconds)
        if status.failure is not None:
            self._failed.labels(known_reason(status.failure)).inc()


class Requests:
    """What the apiserver is asked, what it answers, and how long it is spared."""

    def __init__(self, families: Families) -> None:
        self._requests = families.counter(
            "tweetbot_api_requests",
            f"Requests to the apiserver but for watches, by HTTP status; `{NO_ANSWER}` without an answer.",
            *("method", "resource", "code"),
        )
        self._pauses = families.counter(
            "tweetbot_api_throttled_seconds",
            "Time for which requests were held back, all added up: by `apiRequestsPerSecond`, or because the apiserver "
            "asked for patience.",
        )

    def note(self, method: str, resource: str, code: str) -> None:
        """Count a request."""
        self._requests.labels(method, resource, code).inc()

    def note_pause(self, seconds: float) -> None:
        """Count for how long a request was held back."""
        self._pauses.inc(seconds)


def _with_zeros(names: Iterable[str], counted: Mapping[str, float]) -> dict[str, float]:
    return {name: counted.get(name, 0) for name in names}
