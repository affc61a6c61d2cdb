"""What stops a run and what is left of it: suspension, preemption, deadline, TTL, a lost status."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.operator.factories import NOW, make_failure, make_job, make_outcome, make_pod, make_tweetbot
from tests.unit.operator.life import NOTHING, Life
from tweetbot_api.conditions import Reason
from tweetbot_api.status import TweetBotStatus
from tweetbot_operator.observed import Observed, ObservedJob
from tweetbot_operator.reading import read_job, read_pod
from tweetbot_operator.situation import Plan


def see_job(life: Life, state: str = "active", **changes: object) -> ObservedJob:
    return replace(read_job(make_job(life.bot, state=state)), **changes)


# Suspension


def test_a_bot_that_is_made_suspended_makes_nothing_until_it_is_resumed() -> None:
    life = Life(make_tweetbot(suspend=True))

    plans = [life.step(), life.step(), life.step()]

    assert [plan.create for plan in plans] == [(), (), ()]
    assert (life.bot.status.phase, life.reason) == ("Suspended", Reason.SUSPENDED)
    assert plans[-1] == Plan()
    life.edit()
    assert len(life.step().create) == 1


def test_suspension_stores_the_next_attempt_before_the_job_is_deleted() -> None:
    life = Life()
    life.start_training()
    job = see_job(life)
    life.edit(suspend=True)

    first = life.step(life.observe(name="runs"))
    assert first.delete == ()
    assert (life.bot.status.run.attempt, life.bot.status.run.job_uid) == (2, None)
    second = life.step(Observed(other_jobs=(job,)))
    assert second.delete == (job,)
    assert (life.bot.status.phase, life.reason) == ("Suspended", Reason.SUSPENDING)
    assert life.step(Observed(other_jobs=(replace(job, is_deleting=True),))).delete == ()
    life.step()

    assert (life.bot.status.phase, life.reason) == ("Suspended", Reason.SUSPENDED)
    assert {item.type for item in life.bot.status.conditions} == {"Ready", "Suspended"}


def test_a_resumed_run_goes_on_as_a_new_attempt_that_costs_neither_attempts_nor_preemptions() -> None:
    life = Life(make_tweetbot(maxAttempts=1))
    life.start_training()
    run_id = life.bot.status.run.id
    life.edit(maxAttempts=1, suspend=True)
    life.step(life.observe(name="runs"))
    life.step()
    life.edit(maxAttempts=1)

    (job,) = life.step().create

    run = life.bot.status.run
    assert job["metadata"]["name"] == f"ann-{run_id}-train-2"
    assert (run.failed_attempts, run.preemptions, run.gpu_seconds) == (0, 0, 60)


def test_a_run_that_is_resumed_too_soon_waits_for_the_pod_of_the_former_attempt() -> None:
    life = Life()
    life.start_training()
    old = read_pod(make_pod(life.bot))
    life.edit(suspend=True)
    life.step(life.observe(name="runs"))
    life.edit()

    assert life.step(Observed(other_live_pods=(old,))).create == ()
    assert len(life.step().create) == 1


def test_a_job_that_ends_well_although_it_is_being_suspended_counts() -> None:
    life = Life()
    life.start_training()
    life.edit(suspend=True)

    life.step(life.finish(make_outcome("train")))

    assert life.bot.status.phase == "Succeeded"


def test_suspending_a_bot_leaves_the_job_to_its_neighbours() -> None:
    life = Life()
    life.start_training()
    job = see_job(life)
    shared = replace(job, owners=(*job.owners, job.owners[0]._replace(name="ben", uid="uid-of-ben")))
    life.edit(suspend=True)
    life.step(life.observe(name="runs"))

    assert life.step(Observed(other_jobs=(shared,), needed_jobs=frozenset({shared.key}))).delete == ()


# Preemption


@pytest.mark.parametrize(
    "observe",
    [
        lambda life: life.finish(None, 1, disrupted=True),
        lambda life: life.finish(make_failure("InternalError", 171), 171, disrupted=True),
        lambda life: life.finish(None, 137, evicted="low on memory"),
        lambda life: Observed(job=see_job(life, "failed", is_disrupted=True)),
        lambda life: Observed(job=see_job(life, "failed", exit_code=170)),
        lambda life: NOTHING,
    ],
    ids=["drained", "drained and in despair", "evicted", "drained, pod gone", "stopped, pod gone", "job deleted"],
)
def test_what_is_stopped_from_outside_does_not_eat_attempts(observe: object) -> None:
    life = Life(make_tweetbot(maxAttempts=1))
    life.start_training()

    life.step(observe(life))

    run = life.bot.status.run
    assert (run.attempt, run.failed_attempts, run.preemptions) == (2, 0, 1)
    assert run.retry_time == NOW + timedelta(seconds=10)


def test_preemptions_have_a_limit_with_a_reason_of_its_own() -> None:
    life = Life()
    life.start_training()
    for _ in range(21):
        life.now += timedelta(hours=1)
        life.start_job()
        life.step(life.finish(None, 1, disrupted=True))

    assert (life.bot.status.phase, life.bot.status.failure.reason) == ("Failed", Reason.TOO_MANY_PREEMPTIONS)
    assert life.bot.status.run.preemptions == 21


def test_the_exit_code_of_a_pod_that_is_gone_is_read_from_its_job() -> None:
    life = Life()
    life.start_training()

    life.step(Observed(job=see_job(life, "failed", exit_code=65)))

    assert (life.bot.status.phase, life.bot.status.failure.exit_code) == ("Failed", 65)


def test_a_pod_that_dies_without_a_word_leaves_the_end_of_its_log() -> None:
    life = Life()
    life.start_training()

    life.step(life.finish(None, 1, message="Traceback\nZeroDivisionError"))

    assert life.bot.status.failure.log_tail == "Traceback\nZeroDivisionError"


# Deadline


def test_the_deadline_adds_up_over_jobs_and_attempts() -> None:
    life = Life(make_tweetbot(activeDeadlineSeconds=100))
    life.start_training()
    assert life.bot.status.run.active_seconds == 30
    life.step(life.finish(None, 1))
    assert life.bot.status.run.active_seconds == 60
    life.now += timedelta(hours=1)

    (job,) = life.step().create

    assert job["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 40


def test_a_run_whose_time_is_over_fails_and_its_job_is_deleted() -> None:
    life = Life(make_tweetbot(activeDeadlineSeconds=100))
    life.start_training()
    job = see_job(life)
    running = life.observe(name="runs")

    assert life.step(running).requeue_after == 10
    life.now = NOW + timedelta(seconds=10)
    life.step(running)
    plan = life.step(Observed(other_jobs=(job,)))

    assert (life.bot.status.phase, life.reason) == ("Failed", Reason.DEADLINE_EXCEEDED)
    assert life.bot.status.run.gpu_seconds == 70
    assert plan.delete == (job,)


def test_a_failure_after_the_last_second_is_not_tried_again() -> None:
    life = Life(make_tweetbot(activeDeadlineSeconds=60))
    life.start_training()

    life.step(life.finish(None, 1))

    assert life.reason == Reason.DEADLINE_EXCEEDED


def test_a_deadline_may_be_raised_while_the_run_goes_on() -> None:
    life = Life(make_tweetbot(activeDeadlineSeconds=100))
    life.start_training()
    life.edit(activeDeadlineSeconds=1000)
    life.now = NOW + timedelta(seconds=60)

    life.step(life.observe(name="runs"))

    assert life.reason == Reason.TRAINING


def test_the_time_of_a_pod_that_vanished_is_counted_from_its_start_in_status() -> None:
    life = Life()
    life.start_training()
    life.step(life.observe(unschedulable="no room"))
    life.step(life.observe(name="runs"))
    life.now = NOW + timedelta(seconds=40)

    life.step(NOTHING)

    assert life.bot.status.run.gpu_seconds == 100


# What is left of a run that has ended


def test_the_jobs_of_an_ended_run_go_when_their_time_is_over_and_nothing_follows() -> None:
    life = Life(make_tweetbot(ttlSecondsAfterFinished=60))
    life.start_training()
    life.step(life.finish(make_outcome("train")))
    jobs = (see_job(life, "succeeded"), replace(see_job(life, "succeeded"), kind="prepare"))
    ended = life.bot.status

    assert life.step(Observed(other_jobs=jobs)) == Plan(requeue_after=60)
    life.now = NOW + timedelta(seconds=60)
    assert life.step(Observed(other_jobs=jobs)) == Plan(delete=jobs)
    assert life.step() == Plan()
    assert life.bot.status == ended


def test_a_pod_that_still_stores_its_log_is_left_alone() -> None:
    life = Life(make_tweetbot(ttlSecondsAfterFinished=0))
    life.start_training()
    life.step(life.finish(make_outcome("train")))

    assert life.step(Observed(other_jobs=(see_job(life),))).delete == ()


def test_without_a_time_of_its_own_the_platform_decides() -> None:
    life = Life()
    life.start_training()
    life.step(life.finish(None, 65))

    assert life.step(Observed(other_jobs=(see_job(life, "failed"),))).requeue_after == 86_400


# A status that was lost


def test_a_lost_status_is_rebuilt_from_the_job_at_work() -> None:
    life = Life(make_tweetbot(maxAttempts=5))
    life.start_training()
    life.step(life.finish(None, 1))
    life.now += timedelta(minutes=1)
    (manifest,) = life.step().create
    job = read_job(
        {
            **manifest,
            "metadata": {**manifest["metadata"], "uid": "u", "creationTimestamp": "2026-11-23T12:00:00Z"},
            "status": {},
        }
    )
    before = life.bot.status.run
    life.bot = life.bot.model_copy(update={"status": TweetBotStatus()})

    plan = life.step(Observed(other_jobs=(job,)))

    assert plan.create == ()
    assert life.bot.status.run == before
    assert life.bot.status.run.failed_attempts == 1


def test_a_lost_status_with_only_ended_jobs_asks_no_gpu_but_lets_prepare_look_what_is_stored() -> None:
    life = Life()
    life.start_training()
    train = see_job(life, "succeeded")
    prepare = replace(train, kind="prepare")
    life.bot = life.bot.model_copy(update={"status": TweetBotStatus()})

    life.step(Observed(other_jobs=(prepare, train)))
    (job,) = life.step(Observed(other_jobs=(prepare, train))).create
    assert job["metadata"]["name"].endswith("-prepare-2")
    life.start_job()
    life.step(life.finish(make_outcome("prepare", manifest_sha256="b" * 64)))

    assert (life.bot.status.phase, life.bot.status.outputs.manifest_sha256) == ("Succeeded", "b" * 64)
