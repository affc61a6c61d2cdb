"""A queue lets a Job wait, admits it, and stops it again: the bot tells why, and no attempt is lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.operator.factories import NOW, make_failure, make_job, make_outcome, make_pod, make_tweetbot
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.life import Life, report
from tests.unit.operator.world import BOT, World
from tweetbot_api.conditions import Reason
from tweetbot_api.status import Condition
from tweetbot_operator.inbox import Attempt
from tweetbot_operator.observed import Key, Observed, ObservedJob, QueueWord, Result
from tweetbot_operator.policies.queue import tell_place
from tweetbot_operator.queue_places import QueuePlaces
from tweetbot_operator.reading import read_job, read_pod, read_workloads

WAITS = QueueWord(has_quota=False, reason="Pending", message="insufficient unused quota for nvidia.com/gpu")
ADMITTED = QueueWord(has_quota=True, reason="QuotaReserved", message="Quota reserved in ClusterQueue gpus")
SPEC = {"resources": {"queueName": "bots", "gpus": 1}}


def see_job(life: Life, state: str) -> ObservedJob:
    return replace(read_job(make_job(life.bot, state=state)), queue="bots")


def observe(life: Life, state: str, word: QueueWord | None = None, **facts: object) -> Observed:
    return Observed(job=see_job(life, state), queue_word=word, **facts)


def quota(life: Life) -> Condition | None:
    return next((item for item in life.bot.status.conditions if item.type == "QuotaReserved"), None)


@pytest.fixture
def life() -> Life:
    """A bot whose train Job is about to be made."""
    life = Life(make_tweetbot(**SPEC))
    life.step()
    life.start_job()
    life.step(life.finish(make_outcome("prepare")))
    return life


@pytest.fixture
def training(life: Life) -> Life:
    """The same, at work."""
    life.step()
    life.step(observe(life, "suspended", WAITS))
    life.step(observe(life, "active", ADMITTED, pods=(read_pod(make_pod(life.bot)),)))
    return life


def test_the_job_waits_in_its_queue_with_its_priority(life: Life) -> None:
    life.edit(resources={**SPEC["resources"], "queuePriorityClassName": "urgent"})

    (job,) = life.step().create

    assert job["spec"]["suspend"] is True
    labels = {name: value for name, value in job["metadata"]["labels"].items() if "kueue" in name}
    assert labels == {"kueue.x-k8s.io/queue-name": "bots", "kueue.x-k8s.io/priority-class": "urgent"}
    assert not any("kueue" in name for name in job["spec"]["template"]["metadata"]["labels"])


def test_the_bot_says_in_the_queues_words_why_it_waits(life: Life) -> None:
    life.step()

    life.step(observe(life, "suspended", WAITS))

    assert (life.bot.status.phase, life.reason) == ("Queued", Reason.QUEUED)
    assert WAITS.message in life.message
    condition = quota(life)
    assert (condition.status, condition.reason, condition.message) == ("False", WAITS.reason, WAITS.message)


def test_a_queue_that_says_the_same_causes_no_write(life: Life) -> None:
    life.step()
    life.step(observe(life, "suspended", WAITS))
    life.now = NOW + timedelta(minutes=5)

    assert life.step(observe(life, "suspended", WAITS)).status is None


def test_the_bot_says_at_which_place_it_waits(life: Life) -> None:
    life.step()

    life.step(observe(life, "suspended", replace(WAITS, place=3)))

    assert f"to admit it, at place 3: {WAITS.message}" in life.message
    assert quota(life).message == WAITS.message, "the condition is Kueue's own"


@pytest.mark.parametrize(("place", "seconds"), [(None, 20), (3, 300)])
def test_a_place_that_kueue_does_not_know_yet_is_asked_for_again(life: Life, place: int | None, seconds: int) -> None:
    life.step()

    assert life.step(observe(life, "suspended", replace(WAITS, place=place))).requeue_after == seconds


def test_far_behind_a_place_is_told_less_often() -> None:
    told = [tell_place(place) for place in range(1, 10_001)]

    assert (told[0], told[9]) == ("at place 1", "at place 10")
    assert (told[10], told[50], told[2000]) == ("behind place 10", "behind place 50", "behind place 2000")
    assert len(set(told)) == 19, "so many writes on the way from the very end to the next place"


def test_without_a_word_of_the_queue_the_bot_waits_all_the_same(life: Life) -> None:
    life.step()

    plan = life.step(observe(life, "suspended"))

    assert (life.bot.status.phase, quota(life)) == ("Queued", None)
    assert plan.requeue_after == 20, "Kueue may only not have looked at it yet"
    life.now = NOW + timedelta(hours=1)
    assert life.step(observe(life, "suspended")).requeue_after == 300


@pytest.mark.parametrize("word", [ADMITTED, None], ids=["told", "not told"])
def test_an_admitted_job_has_its_quota(life: Life, word: QueueWord | None) -> None:
    life.step()
    life.step(observe(life, "suspended", WAITS))

    life.step(observe(life, "active", word))

    assert life.bot.status.phase == "Training"
    assert quota(life).status == "True"
    assert life.step(observe(life, "active")).status is None


def test_a_job_that_the_queue_stops_is_the_same_attempt_and_a_preemption(training: Life) -> None:
    before = training.bot.status.run
    training.now = NOW + timedelta(seconds=60)
    pod = replace(read_pod(make_pod(training.bot)), is_deleting=True)

    training.step(observe(training, "suspended", WAITS, pods=(pod,)))
    assert training.bot.status.run.preemptions == 0, "its pod still saves a checkpoint"
    plan = training.step(observe(training, "suspended", WAITS))

    run = training.bot.status.run
    assert (run.job_name, run.attempt) == (before.job_name, before.attempt)
    assert (run.preemptions, run.failed_attempts) == (1, 0)
    # Its pod got its node at 11:59:00.
    assert (run.active_seconds - before.active_seconds, run.gpu_seconds) == (120, 120)
    assert (training.bot.status.phase, training.reason) == ("Queued", Reason.QUEUED)
    assert training.bot.status.failure.reason == Reason.PREEMPTED
    assert quota(training).status == "False"
    assert [event.reason for event in plan.events] == [Reason.PREEMPTED]
    assert (plan.create, plan.delete) == ((), ())


def test_a_preemption_is_counted_once_and_the_next_one_again(training: Life) -> None:
    for count in (1, 2):
        for _ in range(3):
            training.step(observe(training, "suspended", WAITS))
        assert training.bot.status.run.preemptions == count
        pod = read_pod(make_pod(training.bot, name=f"again-{count}"))
        training.step(observe(training, "active", ADMITTED, pods=(pod,)))
        assert (training.bot.status.phase, quota(training).status) == ("Training", "True")


def test_a_stopped_pod_that_can_still_be_seen_is_not_counted_again(training: Life) -> None:
    before = training.bot.status.run
    pod = read_pod(make_pod(training.bot, exit_code=170))
    for reason in ("preempted", "no room", "still no room"):
        word = replace(WAITS, message=reason)
        training.step(observe(training, "suspended", word, pods=(pod,)))

    run = training.bot.status.run
    assert (run.preemptions, run.active_seconds - before.active_seconds) == (1, 30)
    assert "still no room" in training.message


def test_a_stop_is_counted_once_though_the_job_fails_by_it_later(training: Life) -> None:
    pod = read_pod(make_pod(training.bot, exit_code=171))
    training.step(observe(training, "suspended", WAITS, pods=(pod,)))
    training.step(Observed(job=replace(see_job(training, "failed"), is_held_back=True), pods=(pod,)))

    run = training.bot.status.run
    assert (run.attempt, run.preemptions, run.failed_attempts) == (2, 1, 0)


def test_what_a_stopped_trainer_said_does_not_end_the_attempt(training: Life) -> None:
    stopped = Result(outcome=make_failure("Interrupted", 170), pod_uid="uid-of-former")

    for state in ("suspended", "active"):
        training.step(observe(training, state, result=stopped))

    assert training.bot.status.failure.reason == Reason.PREEMPTED
    pod = read_pod(make_pod(training.bot, name="new", exit_code=0, outcome=make_outcome("train")))
    training.step(observe(training, "succeeded", pods=(pod,), result=stopped))
    assert training.bot.status.phase == "Succeeded"
    assert quota(training) is None


def test_what_a_stopped_trainer_reported_is_not_taken_for_progress(training: Life) -> None:
    training.step(observe(training, "active", report=report(training.bot, "Training", 50)))
    late = report(training.bot, "Training", 60, seconds=30)
    training.now = NOW + timedelta(seconds=60)

    training.step(observe(training, "suspended", WAITS, report=late))

    status = training.bot.status
    assert (status.phase, status.stage, status.progress.percent) == ("Queued", None, 50)
    assert training.step(observe(training, "suspended", WAITS, report=late)).status is None


def test_a_job_that_fails_while_the_queue_stops_it_was_preempted(training: Life) -> None:
    pod = read_pod(make_pod(training.bot, exit_code=137))
    job = replace(see_job(training, "failed"), is_held_back=True)

    training.step(Observed(job=job, pods=(pod,)))

    run = training.bot.status.run
    assert (run.attempt, run.preemptions, run.failed_attempts) == (2, 1, 0)


def test_a_run_that_is_stopped_too_often_fails_and_its_job_does_not_come_back(training: Life) -> None:
    run = training.bot.status.run.model_copy(update={"preemptions": 20})
    training.bot = training.bot.model_copy(update={"status": training.bot.status.model_copy(update={"run": run})})
    job = see_job(training, "suspended")

    training.step(observe(training, "suspended", WAITS))

    assert training.bot.status.failure.reason == Reason.TOO_MANY_PREEMPTIONS
    assert training.step(Observed(other_jobs=(job,))).delete == (job,)


def test_a_job_that_no_rule_failed_was_stopped() -> None:
    life = Life()
    life.step()
    job = make_job(life.bot, state="failed", message="Job has reached the specified backoff limit")
    job["status"]["conditions"][0]["reason"] = "BackoffLimitExceeded"

    assert read_job(job).is_disrupted


def workload(created: str, **conditions: tuple[str, str, str]) -> dict:
    listed = [
        {"type": kind, "status": status, "reason": reason, "message": message}
        for kind, (status, reason, message) in conditions.items()
    ]
    return {"kind": "Workload", "metadata": {"creationTimestamp": created}, "status": {"conditions": listed}}


def test_the_newest_workload_speaks_of_the_job() -> None:
    old = workload("2026-11-23T11:00:00Z", QuotaReserved=("True", "QuotaReserved", "Quota reserved"))
    new = workload(
        "2026-11-23T12:00:00Z",
        Evicted=("True", "Preempted", "by another"),
        QuotaReserved=("False", "Pending", "no room"),
    )

    assert read_workloads([new, old]) == QueueWord(has_quota=False, reason="Pending", message="no room")


@pytest.mark.parametrize("workloads", [[], [{"metadata": {"creationTimestamp": "2026-11-23T12:00:00Z"}}]])
def test_a_queue_that_has_not_looked_says_nothing(workloads: list[dict]) -> None:
    assert read_workloads(workloads) is None


def pending(*uids: str) -> list[dict]:
    return [
        {"metadata": {"ownerReferences": [{"kind": "Job", "uid": uid}]}, "positionInLocalQueue": index}
        for index, uid in enumerate(uids)
    ]


@pytest.fixture
def line() -> FakeCluster:
    """A queue in which two Jobs wait."""
    cluster = FakeCluster()
    cluster.pending[Key("default", "bots")] = pending("another", "uid-of-job")
    return cluster


def waiting_job(life: Life, uid: str) -> ObservedJob:
    return replace(see_job(life, "suspended"), uid=uid)


def test_the_queue_is_asked_once_for_all_that_wait_there(life: Life, line: FakeCluster) -> None:
    life.step()
    places = QueuePlaces(line, lambda: 0.0)

    assert [places.find(waiting_job(life, uid)) for uid in ("another", "uid-of-job", "admitted")] == [1, 2, None]
    assert line.reads == ["list pending"]


def test_the_queue_is_asked_again_after_a_while(life: Life, line: FakeCluster) -> None:
    life.step()
    now = 0.0
    places = QueuePlaces(line, lambda: now)
    places.find(waiting_job(life, "uid-of-job"))
    line.pending[Key("default", "bots")] = pending("uid-of-job")
    now = 20.0

    assert places.find(waiting_job(life, "uid-of-job")) == 1


def test_a_queue_that_tells_no_places_is_left_alone(life: Life, line: FakeCluster) -> None:
    life.step()
    line.refusals["pending"] = "the server of places is switched off"
    times = iter((0.0, 300.0, 599.0))
    places = QueuePlaces(line, lambda: next(times))

    assert [places.find(waiting_job(life, "uid-of-job")) for _ in range(3)] == [None, None, None]
    assert line.reads == ["list pending"]


def attempt_of(world: World) -> Attempt:
    run = world.bot.status.run
    return Attempt(world.bot.metadata.uid, run.id, run.job_kind, run.attempt)


def report_progress(world: World) -> None:
    world.inbox.put_report(BOT, attempt_of(world), report(world.bot, "Training", 10))


def test_the_queue_is_asked_while_the_job_waits_and_not_while_it_works() -> None:
    world = World(**SPEC)
    world.settle()
    world.start_pods()
    world.end_pods()
    world.settle()
    world.wait(30)
    world.settle()
    (job,) = [job for job in world.cluster.all("Job") if job["spec"].get("suspend")]
    report_progress(world)
    waits = workload("2026-11-23T12:00:00Z", QuotaReserved=("False", "Pending", "no room"))
    waits["metadata"] |= {"name": "waits", "namespace": "default"}
    waits["metadata"]["labels"] = {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]}
    world.cluster.put(waits)
    world.wait(20)
    world.settle()
    assert "no room" in next(item.message for item in world.bot.status.conditions if item.type == "QuotaReserved")

    assert world.inbox.report(BOT, attempt_of(world)) is None, "it was said before the queue had its say"

    world.cluster.put({**job, "spec": {**job["spec"], "suspend": False}})
    world.start_pods()
    world.settle()
    before = len(world.cluster.reads)
    world.wait(20)
    world.settle()

    assert world.bot.status.phase == "Training"
    assert "list Workload" not in world.cluster.reads[before:]
