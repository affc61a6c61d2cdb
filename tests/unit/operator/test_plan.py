"""The life of a run, step by step: what is there, and what is then done."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.operator.factories import NOW, make_failure, make_outcome, make_pod, make_tweetbot
from tests.unit.operator.life import NOTHING, Life, report
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.status import HuggingFaceModel
from tweetbot_operator.observed import Observed, Result, WarningEvent
from tweetbot_operator.policies.heartbeat import interval_seconds
from tweetbot_operator.reading import read_pod
from tweetbot_operator.situation import Plan

# The straight way


def test_a_new_bot_stores_its_run_before_any_object_is_made() -> None:
    life = Life()

    plan = life.step()

    assert (plan.create, plan.apply, plan.delete) == ((), (), ())
    run = life.bot.status.run
    assert (run.id, run.number, run.job_kind, run.attempt) == (life.bot.run_id, 1, "prepare", 1)
    assert run.job_name == f"ann-{run.id}-prepare-1"
    assert life.bot.status.phase == "Pending"
    assert life.bot.status.observed_generation == 1
    assert plan.requeue_after == 0


def test_the_second_pass_makes_the_job_that_stands_in_status() -> None:
    life = Life()
    life.step()

    plan = life.step()

    (job,) = plan.create
    assert job["metadata"]["name"] == life.bot.status.run.job_name
    assert plan.status is None


def test_a_job_that_is_seen_gets_its_manifest_and_its_uid_is_kept() -> None:
    life = Life()
    life.step()

    plan = life.step(life.observe(waiting="ContainerCreating"))

    (config_map,) = plan.apply
    assert config_map["metadata"]["ownerReferences"][0]["uid"] == f"uid-of-{life.bot.status.run.job_name}"
    assert life.bot.status.run.job_uid == f"uid-of-{life.bot.status.run.job_name}"
    assert (life.bot.status.phase, life.reason) == ("Preparing", Reason.PREPARING)
    assert life.step(life.observe(waiting="ContainerCreating")).apply == ()


def test_a_prepared_bot_goes_on_to_its_train_job() -> None:
    life = Life()
    life.step()
    life.start_job()

    plan = life.step(life.finish(make_outcome("prepare")))

    status = life.bot.status
    assert (status.run.job_kind, status.run.attempt, status.run.job_uid) == ("train", 1, None)
    assert status.dataset.tokens == 2000
    assert status.data[0].kept == 5
    assert [event.reason for event in plan.events] == [Reason.TRAINING]
    (job,) = life.step().create
    assert job["metadata"]["name"].endswith("-train-1")


def test_a_trained_bot_is_complete_with_addresses_built_from_its_run() -> None:
    life = Life()
    life.start_training()

    life.step(life.finish(make_outcome("train")))

    status = life.bot.status
    assert (status.phase, life.reason) == ("Succeeded", Reason.SUCCEEDED)
    assert status.outputs.model_uri == f"s3://models/default/ann/{status.run.id}/model"
    assert status.outputs.manifest_sha256 == "a" * 64
    assert status.samples == ["My dream is sleep"]
    assert status.evaluation.loss == 3.0
    assert status.data[0].kept == 5
    assert status.run.completion_time == NOW
    assert status.run.gpu_seconds == 30
    assert (status.failure, status.stage) == (None, None)


@pytest.mark.parametrize(("failure", "want_warnings"), [(None, []), ("the token may not write", ["HubPushFailed"])])
def test_a_push_to_the_hub_stands_in_the_outputs_and_its_failure_is_only_a_warning(
    failure: str | None, want_warnings: list[str]
) -> None:
    life = Life()
    life.start_training()
    pushed = HuggingFaceModel(url="https://huggingface.co/bots/ann", revision="abc", failure=failure)
    plan = life.step(life.finish(make_outcome("train", hugging_face=pushed)))
    assert life.bot.status.phase == "Succeeded"
    assert life.bot.status.outputs.hugging_face == pushed
    assert want_warnings == [event.reason for event in plan.events if event.is_warning]


def test_a_result_that_was_sent_counts_while_the_pod_still_runs() -> None:
    life = Life()
    life.start_training()
    observed = life.observe(exit_code=None)
    pod_uid = observed.pods[0].uid if observed.pods else f"uid-of-{life.bot.status.run.job_name}-x"

    life.step(replace(observed, result=Result(outcome=make_outcome("train"), pod_uid=pod_uid)))

    assert life.bot.status.phase == "Succeeded"


def test_a_run_whose_manifest_prepare_finds_is_complete_without_training() -> None:
    life = Life()
    life.step()
    life.start_job()

    life.step(life.finish(make_outcome("prepare", manifest_sha256="b" * 64)))

    assert life.bot.status.phase == "Succeeded"
    assert life.bot.status.run.job_kind == "prepare"
    assert life.step().create == ()


# What goes wrong


FAILURES = {
    "too little text is the end": (make_failure("TooLittleText", 65), 65, {}, "TooLittleText", False),
    "a missing archive is the end": (make_failure("SourceNotFound", 66), 66, {}, "SourceNotFound", False),
    "a loss that is no number is the end": (make_failure("NonFiniteLoss", 64), 64, {}, "NonFiniteLoss", False),
    "an unknown permanent code is the end": (None, 64, {}, "JobFailed", False),
    "a store that is away is tried again": (
        make_failure("StorageUnavailable", 171),
        171,
        {},
        "StorageUnavailable",
        True,
    ),
    "an unknown error is tried again": (make_failure("InternalError"), 171, {}, "InternalError", True),
    "a stop with a checkpoint is tried again": (make_failure("Interrupted", 170), 170, {}, "Interrupted", True),
    "out of memory counts as an attempt": (None, 137, {"terminated_reason": "OOMKilled"}, "OutOfMemory", True),
    "a kill that nobody explains counts as an attempt": (None, 137, {}, "Killed", True),
    "a stop without a checkpoint is an interruption": (None, 143, {}, "Interrupted", True),
    "a GPU fault is tried again": (None, 172, {}, "GPUFault", True),
    "an evicted pod tells the node's words": (None, 137, {"evicted": "low on memory"}, "Evicted", True),
    "a drained pod is an interruption": (None, 1, {"disrupted": True}, "Interrupted", True),
    "a crash without a word is tried again": (None, 1, {"message": "Traceback"}, "JobFailed", True),
    "a success without a proof is tried again": (BotOutcome(), 0, {}, "ResultLost", True),
    "a reason of a newer trainer is kept": (make_failure("FromTheFuture", 171), 171, {}, "FromTheFuture", True),
}


@pytest.mark.parametrize(
    ("outcome", "exit_code", "pod", "want_reason", "want_retry"), FAILURES.values(), ids=FAILURES.keys()
)
def test_a_failed_attempt(outcome: object, exit_code: int, pod: dict, want_reason: str, want_retry: bool) -> None:
    life = Life()
    life.step()
    life.start_job()

    plan = life.step(life.finish(outcome, exit_code, **pod))

    status = life.bot.status
    assert status.failure.reason == want_reason
    assert status.failure.exit_code == exit_code
    if want_retry:
        assert (life.reason, status.run.attempt, status.run.job_uid) == (Reason.RETRYING, 2, None)
        assert status.run.retry_time == NOW + timedelta(seconds=10)
        assert plan.requeue_after == 10
    else:
        assert (status.phase, status.run.attempt, status.run.completion_time) == ("Failed", 1, NOW)
        assert status.failure.message in life.message


def test_the_next_attempt_waits_for_its_pause_and_then_has_a_name_of_its_own() -> None:
    life = Life()
    life.step()
    life.start_job()
    life.step(life.finish(None, 1))

    assert life.step().create == ()
    life.now = NOW + timedelta(seconds=10)
    (job,) = life.step().create

    assert job["metadata"]["name"].endswith("-prepare-2")


def test_the_pause_doubles_and_the_attempts_end() -> None:
    life = Life(make_tweetbot(maxAttempts=3))
    life.step()
    pauses = []
    for _ in range(3):
        life.now += timedelta(hours=1)
        life.start_job()
        pauses.append(life.step(life.finish(None, 1)).requeue_after)

    assert pauses == [10, 20, None]
    assert (life.bot.status.phase, life.bot.status.run.attempt) == ("Failed", 3)


def test_each_kind_of_job_has_its_own_attempts() -> None:
    life = Life(make_tweetbot(maxAttempts=2))
    life.step()
    life.start_job()
    life.step(life.finish(None, 1))
    life.now += timedelta(hours=1)
    life.start_job()
    life.step(life.finish(make_outcome("prepare")))
    life.start_job()

    life.step(life.finish(None, 1))

    assert (life.bot.status.run.job_kind, life.bot.status.run.attempt, life.reason) == ("train", 2, Reason.RETRYING)


def test_a_job_that_was_deleted_by_hand_is_followed_by_another_attempt() -> None:
    life = Life()
    life.step()
    life.start_job()

    life.step(Observed(job=None))

    assert (life.bot.status.run.attempt, life.bot.status.failure.reason) == (2, Reason.INTERRUPTED)


def test_no_job_is_made_while_a_pod_of_the_former_attempt_may_still_write() -> None:
    life = Life()
    life.step()
    life.start_job()
    old = read_pod(make_pod(life.bot))
    life.step(Observed(job=None))
    life.now += timedelta(minutes=1)

    plan = life.step(Observed(other_live_pods=(old,)))

    assert plan.create == ()
    assert old.key.name in life.message
    assert len(life.step(NOTHING).create) == 1


def test_a_run_that_is_asked_for_again_is_not_prepared_while_its_train_job_is_being_stopped() -> None:
    training = Life()
    training.start_training()
    job = replace(training.observe(name="x").job, is_deleting=True)
    life = Life()
    life.step(Observed(other_jobs=(job,)))

    assert life.step(Observed(other_jobs=(job,))).create == ()
    assert job.key.name in life.message
    assert len(life.step(NOTHING).create) == 1


def test_a_failure_that_may_end_better_waits_for_the_end_of_the_job() -> None:
    """A drained pod reports that it was interrupted, but the Job makes another pod by itself."""
    life = Life()
    life.start_training()
    observed = life.observe(name="first")
    sent = Result(outcome=make_failure("Interrupted", 170), pod_uid="uid-of-first")

    life.step(replace(observed, result=sent))

    assert life.bot.status.run.attempt == 1
    assert life.bot.status.failure.reason == "Interrupted"
    replaced = replace(life.observe(name="second"), result=sent)
    assert replaced.outcome is None


def test_a_failure_for_good_does_not_wait_for_the_end_of_the_job() -> None:
    life = Life()
    life.step()
    life.start_job()
    observed = life.observe(name="first")

    life.step(replace(observed, result=Result(outcome=make_failure("TooLittleText", 65), pod_uid="uid-of-first")))

    assert life.bot.status.phase == "Failed"


# What holds a pod up

WAITS = {
    "no room": ({"unschedulable": "0/3 nodes: Insufficient nvidia.com/gpu"}, Reason.UNSCHEDULABLE, "Insufficient"),
    "image": ({"waiting": "ImagePullBackOff", "message": 'pulling "registry.test/x"'}, Reason.IMAGE_PULL_FAILED, "/x"),
    "image name": ({"waiting": "InvalidImageName", "message": "bad"}, Reason.IMAGE_PULL_FAILED, "InvalidImageName"),
    "secret": (
        {"waiting": "CreateContainerConfigError", "message": 'secret "keys" not found'},
        Reason.SECRET_NOT_FOUND,
        '"keys"',
    ),
}


@pytest.mark.parametrize(("pod", "want_reason", "want_message"), WAITS.values(), ids=WAITS.keys())
def test_a_pod_that_cannot_start_says_what_it_lacks(pod: dict, want_reason: Reason, want_message: str) -> None:
    life = Life()
    life.step()
    life.start_job()

    life.step(life.observe(**pod))

    assert life.reason == want_reason
    assert want_message in life.message
    assert life.bot.status.run.attempt == 1
    life.step(life.observe(name="runs"))
    assert life.reason == Reason.PREPARING


def test_a_pod_that_the_scheduler_has_just_seen_is_not_said_to_have_no_room() -> None:
    """Most often the pod before it is about to make room: it would be two writes for each bot of the Job."""
    life = Life()
    life.step()
    life.start_job()

    plan = life.step(life.observe(unschedulable="Insufficient cpu", created="2026-11-23T11:59:57Z"))

    assert (life.reason, plan.requeue_after) == (Reason.PREPARING, 7)
    life.now = NOW + timedelta(seconds=7)
    life.step(life.observe(unschedulable="Insufficient cpu", created="2026-11-23T11:59:57Z"))
    assert life.reason == Reason.UNSCHEDULABLE


@pytest.mark.parametrize(("bots", "want"), [(1, 10), (5, 10), (16, 32), (64, 128)])
def test_status_holds_still_the_longer_the_more_bots_share_a_job(bots: int, want: float) -> None:
    assert interval_seconds(bots) == want


def test_a_suspended_job_is_queued() -> None:
    life = Life()
    life.step()
    life.start_job()

    life.step(life.observe("suspended"))

    assert (life.bot.status.phase, life.reason) == ("Queued", Reason.QUEUED)


WARNINGS = {
    "quota": ({}, "FailedCreate", "exceeded quota: gpus", Reason.POD_REFUSED),
    "volume": (
        {"waiting": "ContainerCreating"},
        "FailedMount",
        'configmap "ann-run" not found',
        Reason.POD_NOT_STARTED,
    ),
}


@pytest.mark.parametrize(("pod", "event", "message", "want_reason"), WARNINGS.values(), ids=WARNINGS.keys())
def test_what_only_an_event_tells_stands_on_the_bot(pod: dict, event: str, message: str, want_reason: Reason) -> None:
    life = Life()
    life.step()
    life.start_job()

    plan = life.step(replace(life.observe(**pod), warning=WarningEvent(reason=event, message=message)))

    assert (life.reason, life.message) == (want_reason, f"{event}: {message}")
    assert plan.requeue_after == 20
    assert [item["kind"] for item in plan.apply] == (["ConfigMap"] if event == "FailedMount" else [])
    life.step(life.observe(name="runs"))
    assert life.reason == Reason.PREPARING


def test_a_trainer_that_is_silent_for_long_is_reported_and_left_alone() -> None:
    life = Life()
    life.start_training()
    running = life.observe(name="runs")
    life.step(replace(running, report=report(life.bot, "Training", 30, 0)))
    assert life.step(running).requeue_after == 300

    life.now = NOW + timedelta(seconds=900)
    plan = life.step(running)

    assert (life.bot.status.phase, life.reason) == ("Training", Reason.NO_HEARTBEAT)
    assert (plan.delete, life.step(running)) == ((), Plan(requeue_after=300))
    life.step(replace(running, report=report(life.bot, "Training", 31, 900)))
    assert life.reason == Reason.TRAINING


def test_an_operator_that_was_away_does_not_take_its_own_silence_for_the_trainers() -> None:
    life = Life()
    life.start_training()
    life.now = NOW + timedelta(hours=3)
    running = replace(life.observe(name="runs"), listening_since=life.now)

    assert life.step(running) == Plan(requeue_after=300)


# Progress


def test_progress_is_written_at_once_on_a_new_stage_and_else_each_ten_seconds() -> None:
    life = Life()
    life.step()
    life.start_job()
    at_work = life.observe(name="runs")

    life.step(replace(at_work, report=report(life.bot, "Fetching", 1)))
    life.now = NOW + timedelta(seconds=3)
    early = life.step(replace(at_work, report=report(life.bot, "Fetching", 3, 3)))
    assert (early.status, early.requeue_after, life.bot.status.progress.percent) == (None, 7, 1)
    life.step(replace(at_work, report=report(life.bot, "Cleaning", 5, 3)))
    assert (life.bot.status.stage, life.bot.status.progress.percent) == ("Cleaning", 5)
    life.now = NOW + timedelta(seconds=13)
    life.step(replace(at_work, report=report(life.bot, "Cleaning", 6, 12)))

    assert life.bot.status.progress.percent == 6
    assert life.bot.status.progress.last_heartbeat_time == NOW + timedelta(seconds=12)


def test_the_percentage_never_falls_within_a_run() -> None:
    life = Life()
    life.start_training()
    life.step(replace(life.observe(name="runs"), report=report(life.bot, "Training", 60)))
    life.step(life.finish(None, 1))
    assert life.bot.status.progress.eta_seconds is None
    life.now += timedelta(minutes=1)
    life.start_job()

    life.step(replace(life.observe(name="runs"), report=report(life.bot, "Training", 12, 60)))

    assert (life.bot.status.stage, life.bot.status.progress.percent) == ("Training", 60)


# The end is the end


@pytest.mark.parametrize("exit_code", [0, 65], ids=["complete", "failed"])
def test_after_the_end_nothing_is_made_whatever_is_deleted(exit_code: int) -> None:
    life = Life()
    life.start_training()
    life.step(life.finish(make_outcome("train") if exit_code == 0 else None, exit_code))
    ended = life.bot.status

    for observed in (NOTHING, life.observe("failed"), life.observe()):
        life.now += timedelta(days=1)
        assert life.step(observed) == Plan()

    assert life.bot.status == ended


@pytest.mark.parametrize("spec", [{"maxAttempts": 7}, {"resources": {"memory": "32Gi"}}], ids=["attempts", "memory"])
def test_an_edit_that_does_not_shape_the_model_starts_nothing(spec: dict) -> None:
    life = Life()
    life.start_training()
    life.step(life.finish(make_outcome("train")))
    life.edit(**spec)

    plan = life.step()

    assert (plan.create, life.bot.status.phase, life.bot.status.observed_generation) == ((), "Succeeded", 2)
    assert life.step() == Plan()


@pytest.mark.parametrize("spec", [{"runID": "again"}, {"training": {"epochs": 2}}], ids=["runID", "spec"])
def test_an_edit_that_asks_for_another_run_clears_the_former_one(spec: dict) -> None:
    life = Life()
    life.start_training()
    life.step(life.finish(make_outcome("train")))
    old = life.observe("succeeded").job
    life.edit(**spec)

    plan = life.step(Observed(other_jobs=(old,)))

    status = life.bot.status
    assert plan.delete == (old,)
    assert (status.run.number, status.run.job_kind, status.run.attempt) == (2, "prepare", 1)
    assert (status.outputs, status.samples, status.data, status.progress, status.evaluation) == (None,) * 5
    assert status.observed_generation == 2
    assert {condition.type for condition in status.conditions} == {"Ready", "Reconciling"}


def test_a_spec_that_became_invalid_and_was_mended_keeps_the_model() -> None:
    life = Life()
    life.start_training()
    life.step(life.finish(make_outcome("train")))
    life.edit(baseModel={"name": "file:///model"})
    life.step()
    assert life.reason == Reason.INVALID_SPEC
    life.edit()

    life.step()

    assert (life.bot.status.phase, life.reason) == ("Succeeded", Reason.SUCCEEDED)
    assert life.bot.status.outputs is not None


def test_a_bot_that_is_being_deleted_is_left_alone() -> None:
    life = Life()
    life.bot = life.bot.model_copy(
        update={"metadata": life.bot.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )

    assert life.step() == Plan()
