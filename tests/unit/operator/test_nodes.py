"""A training of several pods: one Job, one end, and the right cause of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.operator.factories import NOW, make_failure, make_job, make_outcome, make_pod, make_tweetbot
from tests.unit.operator.life import NOTHING, Life
from tweetbot_api.conditions import Reason
from tweetbot_operator.observed import Observed, ObservedPod, WarningEvent
from tweetbot_operator.policies.accounting import Holding, close_attempt, count_seconds
from tweetbot_operator.reading import read_job, read_pod

PEER_LOST = make_failure("PeerLost", 173, "another process of the training was lost")


def make_life() -> Life:
    """Return a bot of two pods with two GPUs each, whose train Job is there."""
    life = Life(make_tweetbot(resources={"nodes": 2, "gpus": 2}))
    life.start_training()
    return life


def pod(life: Life, index: int, **facts: object) -> ObservedPod:
    document = make_pod(life.bot, name=f"pod-{index}", **facts)
    document["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = str(index)
    return read_pod(document)


def observe(life: Life, *pods: ObservedPod, state: str = "active", **facts: object) -> Observed:
    job = replace(read_job(make_job(life.bot, state=state)), nodes=2)
    return Observed(job=job, pods=pods, **facts)


def test_the_pods_of_a_job_that_is_seen_get_a_name_in_dns_beside_their_manifest() -> None:
    life = Life(make_tweetbot(resources={"nodes": 2}))
    life.step()
    life.start_job()
    life.step(life.finish(make_outcome("prepare")))
    (job,) = life.step().create

    service, config_map = life.step(observe(life)).apply

    assert (config_map["kind"], service["kind"]) == ("ConfigMap", "Service")
    template = job["spec"]["template"]["spec"]
    assert template["subdomain"] == service["metadata"]["name"]
    variables = {item["name"]: item["value"] for item in template["containers"][0]["env"]}
    assert variables["PET_MASTER_ADDR"] == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert service["spec"]["selector"].items() <= {"batch.kubernetes.io/job-name": job["metadata"]["name"]}.items()


def test_the_prepare_job_has_one_pod() -> None:
    life = Life(make_tweetbot(resources={"nodes": 2}))
    life.step()
    (job,) = life.step().create
    assert job["spec"]["parallelism"] == 1
    assert "subdomain" not in job["spec"]["template"]["spec"]


def test_the_first_pods_word_counts_whichever_pod_is_newer() -> None:
    life = make_life()
    first = pod(life, 0, exit_code=0, outcome=make_outcome("train"))
    second = pod(life, 1, exit_code=0, created="2026-11-23T11:59:00Z")

    life.step(observe(life, second, first, state="succeeded"))

    assert life.bot.status.phase == "Succeeded"


@pytest.mark.parametrize("index", [0, 1])
def test_a_pod_that_cannot_start_holds_all_up_and_says_so(index: int) -> None:
    life = make_life()
    pods = [pod(life, other) for other in (0, 1) if other != index]

    life.step(observe(life, pod(life, index, unschedulable="Insufficient nvidia.com/gpu"), *pods))

    assert life.reason == Reason.UNSCHEDULABLE
    assert f"pod-{index}" in life.message


def test_a_second_pod_that_is_refused_is_told_though_the_first_one_runs() -> None:
    life = make_life()
    refusal = WarningEvent(reason="FailedCreate", message="exceeded quota: gpus")

    plan = life.step(observe(life, pod(life, 0), warning=refusal))

    assert (life.reason, life.message) == (Reason.POD_REFUSED, "FailedCreate: exceeded quota: gpus")
    assert plan.requeue_after == 20


CULPRITS = [
    ({"exit_code": 137, "terminated_reason": "OOMKilled"}, Reason.OUT_OF_MEMORY, False),
    ({"exit_code": 172, "message": "Xid 79"}, Reason.GPU_FAULT, False),
    ({"exit_code": 171, "message": "no route to the store"}, Reason.JOB_FAILED, False),
    ({"exit_code": 137, "evicted": "the node was low on memory"}, Reason.EVICTED, True),
    ({"exit_code": 173}, Reason.PEER_LOST, False),
]


@pytest.mark.parametrize(("facts", "want", "from_outside"), CULPRITS, ids=[str(want) for _, want, _ in CULPRITS])
def test_the_cause_is_that_of_the_pod_that_ended_first(facts: dict, want: Reason, from_outside: bool) -> None:
    life = make_life()
    first = pod(life, 0, exit_code=173, outcome=PEER_LOST)

    life.step(observe(life, first, pod(life, 1, **facts), state="failed"))

    assert life.bot.status.failure.reason == want
    run = life.bot.status.run
    assert (run.attempt, run.preemptions, run.failed_attempts) == (2, int(from_outside), int(not from_outside))


def test_a_process_beside_the_first_in_its_own_pod_may_be_the_cause_too() -> None:
    life = make_life()
    first = pod(life, 0, exit_code=137, outcome=PEER_LOST, terminated_reason="OOMKilled")

    life.step(observe(life, first, pod(life, 1, exit_code=173), state="failed"))

    assert life.bot.status.failure.reason == Reason.OUT_OF_MEMORY


def test_the_log_of_the_pod_that_ended_first_is_kept() -> None:
    life = make_life()
    second = pod(life, 1, exit_code=171, message="it broke\nhere")

    life.step(observe(life, pod(life, 0, exit_code=173, outcome=PEER_LOST), second, state="failed"))

    assert life.bot.status.failure.log_tail == "it broke\nhere"
    assert "pod-1" in life.bot.status.failure.message


def test_a_drained_node_under_any_pod_is_a_preemption() -> None:
    life = make_life()
    stopped = make_failure("Interrupted", 170)
    pods = [pod(life, 0, exit_code=170, outcome=stopped), pod(life, 1, exit_code=170, disrupted=True)]

    life.step(observe(life, *pods, state="failed"))

    run = life.bot.status.run
    assert (run.preemptions, run.failed_attempts) == (1, 0)


def test_the_gpus_of_all_pods_count_and_the_time_once() -> None:
    life = make_life()
    # Both held their nodes from 11:59:00 to 11:59:30.
    pods = [pod(life, index, exit_code=0, outcome=make_outcome("train")) for index in (0, 1)]

    before = life.bot.status.run.active_seconds
    life.step(observe(life, *pods, state="succeeded"))

    run = life.bot.status.run
    assert (run.active_seconds - before, run.gpu_seconds) == (30, 30 * 2 * 2)


def test_times_that_overlap_count_once_and_gaps_not_at_all() -> None:
    life = make_life()
    base, run = pod(life, 0), life.bot.status.run
    at = [NOW + timedelta(seconds=seconds) for seconds in range(100)]
    spans = [(0, 20), (10, 30), (12, 15), (40, 50)]
    pods = [replace(base, started=at[start], finished=at[end]) for start, end in spans]

    assert count_seconds(run, pods, at[99]) == 40
    assert close_attempt(run, pods, Holding(1, 4), at[99]).gpu_seconds == (20 + 20 + 3 + 10) * 4


def test_a_pod_that_is_gone_before_the_other_counts_as_long() -> None:
    life = make_life()
    stopped = make_failure("Interrupted", 170)

    life.step(observe(life, pod(life, 0, exit_code=170, outcome=stopped), state="failed"))

    assert life.bot.status.run.gpu_seconds == 30 * 2 * 2


def test_a_pod_that_never_started_held_nothing() -> None:
    life = make_life()
    pods = [pod(life, 0, exit_code=173, outcome=PEER_LOST), pod(life, 1, unschedulable="no room")]

    life.step(observe(life, *pods, state="failed"))

    assert life.bot.status.run.gpu_seconds == 30 * 2


def test_pods_that_vanished_count_from_the_start_in_status() -> None:
    life = make_life()
    life.step(observe(life, pod(life, 0, unschedulable="no room"), pod(life, 1)))
    life.step(observe(life, pod(life, 0), pod(life, 1)))
    life.now = NOW + timedelta(seconds=40)

    life.step(NOTHING)

    assert life.bot.status.run.gpu_seconds == 100 * 2 * 2
