"""What Prometheus is told of runs: each end once, with its reason, its time and its GPU time."""

import re
from collections.abc import Callable

import pytest

from tests.unit.operator.company import Company
from tests.unit.operator.factories import make_failure
from tests.unit.operator.fake_cluster import CrashError
from tests.unit.operator.world import BOT, World
from tweetbot_api.conditions import Reason
from tweetbot_operator.metrics import Metrics


def read_series(metrics: Metrics, name: str) -> list[set[str]]:
    """Return the labels of each series of a metric."""
    lines = re.findall(rf"^{name}(?:_sum|_count|_bucket)?{{(.*)}} ", metrics.render().decode(), re.MULTILINE)
    return [set(re.findall(r'(\w+)="', line)) for line in lines]


def read(metrics: Metrics, series: str) -> float:
    """Return the value of a series, as Prometheus writes it."""
    lines = (line.rpartition(" ") for line in metrics.render().decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}[series]


def read_ends(metrics: Metrics) -> tuple[float, float]:
    """Return how many runs ended well, and how many failed."""
    succeeded, failed = (f'tweetbot_runs_finished_total{{phase="{phase}"}}' for phase in ("Succeeded", "Failed"))
    return read(metrics, succeeded), read(metrics, failed)


def test_what_is_known_of_metrics_is_what_prometheus_is_told() -> None:
    metrics = Metrics("1")
    metrics.watch_acting(bool)
    metrics.watch(dict, int, int, dict)

    told = re.findall(r"^# HELP (\S+) (.+)\n# TYPE \S+ (\S+)$", metrics.render().decode(), re.MULTILINE)

    assert sorted(told) == sorted((family.name, family.text, family.type) for family in metrics.families.known)
    for family in metrics.families.known:
        labels = {label for series in read_series(metrics, family.name) for label in series}
        assert labels <= {*family.labels, "le"}, family.name


def run_job(world: World, seconds: float, exit_code: int = 0, reason: Reason | None = None) -> None:
    """Let the Job that is there, or is made now, run for so long."""
    world.settle()
    world.start_pods()
    world.settle()
    world.wait(seconds)
    world.end_pods(make_failure(reason) if reason else None, exit_code)
    world.settle()


def test_a_run_that_ends_is_counted_once_with_its_time_and_its_gpu_time() -> None:
    world = World()

    run_job(world, 100)
    assert read_ends(world.metrics) == (0, 0)
    run_job(world, 300)
    world.wait(100)
    world.settle()

    assert read_ends(world.metrics) == (1, 0)
    assert read(world.metrics, 'tweetbot_run_seconds_sum{phase="Succeeded"}') == 400
    assert read(world.metrics, 'tweetbot_run_seconds_bucket{le="600.0",phase="Succeeded"}') == 1
    assert read(world.metrics, 'tweetbot_run_seconds_bucket{le="300.0",phase="Succeeded"}') == 0
    assert read(world.metrics, "tweetbot_gpu_seconds_total") == 300


def test_a_run_that_has_ended_is_not_counted_again_by_a_new_operator_or_after_an_edit() -> None:
    world = World()
    run_job(world, 100)
    run_job(world, 300)
    before = world.bot.spec.training.epochs

    world.restart()
    world.settle()
    world.edit(training={"epochs": before + 1})
    world.settle()
    world.edit(training={"epochs": before})
    world.settle()

    assert read_ends(world.metrics) == (0, 0)
    assert read(world.metrics, "tweetbot_gpu_seconds_total") == 0


@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
def test_an_operator_that_dies_as_a_run_ends_counts_it_once_at_most(committed: bool) -> None:
    world = World()
    run_job(world, 100)
    world.start_pods()
    world.settle()
    world.wait(300)
    world.end_pods()
    world.deliver()
    world.cluster.crash_at, world.cluster.commits_before_crash = len(world.cluster.writes) + 1, committed
    died = world.metrics

    with pytest.raises(CrashError):
        world.reconciler.reconcile(BOT)
    world.restart()
    world.settle()

    assert world.bot.status.phase == "Succeeded"
    assert read_ends(died)[0] + read_ends(world.metrics)[0] == (0 if committed else 1)


def test_a_failed_run_is_counted_by_its_reason_and_an_attempt_that_is_tried_again_is_not() -> None:
    world = World(maxAttempts=2)
    run_job(world, 100)

    run_job(world, 50, 172, Reason.GPU_FAULT)
    assert read_ends(world.metrics) == (0, 0)
    world.wait(700)
    run_job(world, 50, 172, Reason.GPU_FAULT)

    assert read_ends(world.metrics) == (0, 1)
    assert read(world.metrics, 'tweetbot_runs_failed_total{reason="GPUFault"}') == 1
    assert read(world.metrics, "tweetbot_gpu_seconds_total") == 100


def test_a_reason_that_only_a_newer_trainer_knows_is_no_label_of_its_own() -> None:
    world = World(maxAttempts=1)

    world.settle()
    world.start_pods()
    world.end_pods(make_failure("BornTomorrow"), 1)
    world.settle()

    assert read(world.metrics, 'tweetbot_runs_failed_total{reason="JobFailed"}') == 1


def fail_without_job(world: World) -> None:
    world.delete_jobs()


def fail_by_deadline(world: World) -> None:
    world.wait(1000)


@pytest.mark.parametrize("fail", [fail_without_job, fail_by_deadline])
def test_a_run_that_fails_without_a_job_that_ends_is_counted_too(fail: Callable[[World], None]) -> None:
    world = World(activeDeadlineSeconds=500)
    world.settings = world.settings.model_copy(update={"max_preemptions": 0})
    world.restart()
    world.settle()
    world.start_pods()
    world.settle()

    fail(world)
    world.settle()

    assert world.bot.status.phase == "Failed"
    assert read_ends(world.metrics) == (0, 1)


def test_each_bot_of_a_shared_job_is_counted() -> None:
    world = Company("ann", "ben")

    world.run_on()

    assert read_ends(world.metrics) == (2, 0)


def test_a_purge_takes_no_gpu_time_back() -> None:
    world = World(output={"deletionPolicy": "Delete"})
    run_job(world, 100)
    run_job(world, 300)

    bot = world.cluster.get("TweetBot", BOT)
    bot["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    world.cluster.put(bot)
    world.settle()

    assert world.bot.status.run.job_kind == "purge"
    assert read(world.metrics, "tweetbot_gpu_seconds_total") == 300


def test_a_status_that_was_removed_by_hand_counts_no_gpu_time_twice() -> None:
    world = World(maxAttempts=3)
    run_job(world, 100)
    run_job(world, 50, 172, Reason.GPU_FAULT)
    world.wait(700)
    world.settle()
    world.start_pods()
    world.settle()

    bot = world.cluster.get("TweetBot", BOT)
    bot["status"] = {}
    world.cluster.put(bot)
    run_job(world, 30)

    assert world.bot.status.run.gpu_seconds == 80
    assert read(world.metrics, "tweetbot_gpu_seconds_total") == 80
