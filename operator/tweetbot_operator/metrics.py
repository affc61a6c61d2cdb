"""What Prometheus is told. Labels are kinds, phases and results, never an object's name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tweetbot_api.status import Phase
from tweetbot_operator.workqueue import TryAgainError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The operator's counters, and gauges that are read from memory when they are asked for."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.bot_looks = Looks("tweetbot", "bot", self.registry)
        self.bot_batch_looks = Looks("tweetbot_bot_batch", "TweetBotBatch", self.registry)
        self.status_writes = Counter("tweetbot_status_writes", "Writes of a bot's status.", registry=self.registry)
        self.jobs_created = Counter("tweetbot_jobs_created", "Jobs made, by kind.", ["kind"], registry=self.registry)
        self.runs_finished = Counter(
            "tweetbot_runs_finished", "Runs that ended, by phase.", ["phase"], registry=self.registry
        )
        self.posts = Counter(
            "tweetbot_progress_posts", "Messages of trainers, by path and HTTP status.", ["path", "code"],
            registry=self.registry,
        )  # fmt: skip
        self.registry.register(_Build(version))

    def watch(
        self,
        count_phases: Callable[[], Mapping[str, int]],
        queue_depth: Callable[[], int],
        bot_batch_queue_depth: Callable[[], int],
    ) -> None:
        """Read these whenever the metrics are asked for."""
        self.registry.register(_Gauges(count_phases, queue_depth, bot_batch_queue_depth))

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class Looks:
    """How often objects of a kind are looked at, for how long, and what comes of it."""

    def __init__(self, prefix: str, kind: str, registry: CollectorRegistry) -> None:
        self._results = Counter(
            f"{prefix}_reconciles", f"Looks at a {kind}, by what came of it.", ["result"], registry=registry
        )
        self._seconds = Histogram(
            f"{prefix}_reconcile_seconds", f"Duration of one look at a {kind}.", registry=registry
        )

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


class _Build(Collector):
    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("tweetbot_build_info", "The operator's version.", labels=["version"])
        family.add_metric([self._version], 1)
        yield family


class _Gauges(Collector):
    def __init__(
        self,
        count_phases: Callable[[], Mapping[str, int]],
        queue_depth: Callable[[], int],
        bot_batch_queue_depth: Callable[[], int],
    ) -> None:
        self._count_phases = count_phases
        self._queue_depth = queue_depth
        self._bot_batch_queue_depth = bot_batch_queue_depth

    def collect(self) -> Iterator[GaugeMetricFamily]:
        bots = GaugeMetricFamily("tweetbot_bots", "TweetBots by phase.", labels=["phase"])
        counted = self._count_phases()
        for phase in get_args(Phase):
            bots.add_metric([phase], counted.get(phase, 0))
        yield bots
        yield GaugeMetricFamily("tweetbot_queue_depth", "Bots that wait to be looked at.", self._queue_depth())
        yield GaugeMetricFamily(
            "tweetbot_bot_batch_queue_depth",
            "TweetBotBatches that wait to be looked at.",
            self._bot_batch_queue_depth(),
        )
