"""The shell around the plan: crashes, conflicts, stale memory, and quiet."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.operator.factories import make_failure
from tests.unit.operator.fake_cluster import merge
from tests.unit.operator.kstatus import assert_obeys_kstatus
from tests.unit.operator.world import BOT, World
from tweetbot_operator.life_cycle import is_allowed
from tweetbot_operator.merge_patch import diff
from tweetbot_operator.observed import Key
from tweetbot_operator.workqueue import TryAgainError


def run_to_the_end(world: World) -> None:
    """Let every Job succeed and time pass until the run has ended."""
    for _ in range(20):
        world.settle()
        if world.has_ended:
            return
        world.wait(700)
        world.start_pods()
        world.end_pods()
        world.remove_orphans()
    raise AssertionError(f"the run does not end: {world.bot.status}")


def test_a_bot_that_nothing_disturbs_makes_two_jobs_and_few_writes() -> None:
    world = World()

    run_to_the_end(world)

    run_id = world.bot.status.run.id
    assert world.bot.status.phase == "Succeeded"
    assert world.jobs_created == [f"ann-{run_id}-prepare-1", f"ann-{run_id}-train-1"]
    kinds = [write.split()[0] for write in world.cluster.writes if "Event" not in write]
    assert kinds == ["patch", "create", "apply", "patch", "patch", "create", "apply", "patch", "patch"]


def test_a_finished_bot_is_quiet_even_for_a_new_operator() -> None:
    world = World()
    run_to_the_end(world)
    writes = len(world.cluster.writes)

    world.restart()
    world.wait(100_000)
    world.delete_jobs()
    world.settle()

    assert len(world.cluster.writes) == writes


@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
def test_a_crash_at_any_write_changes_nothing_in_the_end(committed: bool) -> None:
    calm = World()
    run_to_the_end(calm)
    for crash_at in range(1, len(calm.cluster.writes) + 1):
        world = World()
        world.cluster.crash_at, world.cluster.commits_before_crash = crash_at, committed

        run_to_the_end(world)

        assert world.bot.status.phase == "Succeeded"
        committed_jobs = {name for name in world.jobs_created if ("Job", Key("default", name)) in world.cluster.objects}
        assert committed_jobs == set(calm.jobs_created)
        assert {write for write in world.cluster.writes if write.startswith("create Job")} == {
            write for write in calm.cluster.writes if write.startswith("create Job")
        }
        assert world.bot.status.data == calm.bot.status.data


def delete_recorded_jobs(world: World) -> None:
    """Delete the Jobs, once their uid stands in status: before, none can tell a gone one from one never made."""
    if world.bot.status.run and world.bot.status.run.job_uid:
        world.delete_jobs()


def crash(world: World, *, commits: bool) -> None:
    """Kill the operator at its next write."""
    world.cluster.crash_at = len(world.cluster.writes) + 1
    world.cluster.commits_before_crash = commits


STEPS: dict[str, Callable[[World], object]] = {
    "reconcile": World.reconcile,
    "deliver": World.deliver,
    "deliver bots": lambda world: world.deliver("TweetBot"),
    "deliver jobs": lambda world: world.deliver("Job"),
    "deliver pods": lambda world: world.deliver("Pod"),
    "start pods": World.start_pods,
    "succeed": World.end_pods,
    "fail": lambda world: world.end_pods(make_failure("StorageUnavailable"), 171),
    "fail for good": lambda world: world.end_pods(make_failure("TooLittleText"), 65),
    "delete jobs": delete_recorded_jobs,
    "remove orphans": World.remove_orphans,
    "drain": lambda world: world.end_pods(make_failure("Interrupted", 170), 170, is_drained=True),
    "suspend": lambda world: world.edit(maxAttempts=20, suspend=True),
    "resume": lambda world: world.edit(maxAttempts=20),
    "restart": World.restart,
    "wait": lambda world: world.wait(11),
    "crash after the next write": lambda world: crash(world, commits=True),
    "crash before the next write": lambda world: crash(world, commits=False),
}
"""What may happen at any time."""


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.sampled_from(list(STEPS)), max_size=30))
def test_whatever_happens_the_run_ends_once_and_nothing_is_lost(steps: list[str]) -> None:
    world = World(maxAttempts=20)
    start_time, data, had_ended = None, None, False
    for step in steps:
        jobs_before, phase = len(world.jobs_created), world.bot.status.phase
        STEPS[step](world)
        status = world.bot.status
        assert is_allowed(phase, status.phase), (phase, status.phase)
        if status.run is None:
            continue
        start_time = start_time or status.run.start_time
        data = data or status.data
        assert_obeys_kstatus(status, status.observed_generation)
        assert status.run.start_time == start_time
        assert status.data == data
        assert len(world.live_pods) <= 1, [pod["metadata"]["name"] for pod in world.live_pods]
        if status.failure is not None:
            # What the trainer said is never lost, and nothing is taken for deleted that only was not seen yet.
            is_stopped = bool({"delete jobs", "drain"} & set(steps))
            told = {"StorageUnavailable", "TooLittleText"} | ({"Interrupted"} if is_stopped else set())
            assert status.failure.reason in told
        if not {"fail", "delete jobs", "drain", "suspend"} & set(steps):
            assert status.run.attempt == 1
        if not {"delete jobs", "drain"} & set(steps):
            assert status.run.preemptions == 0
        if "fail" not in steps:
            assert status.run.failed_attempts == ("fail for good" in steps and status.phase == "Failed")
        if had_ended:
            assert len(world.jobs_created) == jobs_before
            assert status.run.completion_time is not None
        had_ended = world.has_ended
    world.cluster.crash_at = None
    world.edit(maxAttempts=20)
    run_to_the_end(world)
    assert_obeys_kstatus(world.bot.status, world.bot.metadata.generation)
    created = [write for write in world.cluster.writes if write.startswith("create Job")]
    crashes = sum(step.startswith("crash") for step in steps)
    assert len(created) <= len(set(created)) + crashes
    writes = len(world.cluster.writes)
    world.settle()
    assert len(world.cluster.writes) == writes


def start_first_pod(world: World) -> None:
    world.settle()
    world.start_pods()
    world.settle()


def test_a_new_operator_that_has_not_heard_of_the_job_yet_does_not_take_it_for_deleted() -> None:
    world = World()
    start_first_pod(world)

    world.restart()
    world.reconcile()

    assert world.bot.status.run.attempt == 1
    assert "get Job " + world.bot.status.run.job_name in world.cluster.reads


def test_a_new_operator_that_has_not_heard_of_the_pod_yet_does_not_take_its_result_for_lost() -> None:
    world = World()
    start_first_pod(world)
    world.end_pods()

    world.restart()
    world.deliver("Job")
    world.reconcile()

    assert (world.bot.status.run.job_kind, world.bot.status.failure) == ("train", None)


def test_a_new_operator_waits_for_a_former_pod_that_it_has_not_heard_of() -> None:
    world = World()
    start_first_pod(world)
    world.delete_jobs()
    world.settle()
    assert world.bot.status.run.attempt == 2

    world.wait(11)
    world.restart()
    world.reconcile()
    world.reconcile()

    assert len(world.jobs_created) == 1
    world.remove_orphans()
    world.settle()
    assert len(world.jobs_created) == 2


def test_a_job_deleted_before_it_was_recorded_is_made_again_only_after_its_pod_is_gone() -> None:
    world = World()
    world.reconcile()
    world.reconcile()
    world.start_pods()
    world.delete_jobs()
    world.deliver()

    world.reconcile()
    assert len(world.jobs_created) == 1
    world.remove_orphans()
    world.settle()

    assert len(world.jobs_created) == 2


def test_a_lost_watch_event_is_made_up_for() -> None:
    """The Job is gone but no watch tells: after a while the cluster itself is asked."""
    world = World()
    start_first_pod(world)
    world.delete_jobs()
    world.remove_orphans()
    world.cluster.events.clear()

    world.wait(200)
    world.reconcile()
    assert world.bot.status.run.attempt == 1
    world.wait(200)
    world.reconcile()

    assert world.bot.status.run.attempt == 2


def test_a_bot_that_changed_behind_our_back_gets_no_job() -> None:
    """A view of the past must not start an attempt again that was over long ago."""
    world = World()
    world.reconcile()
    world.cluster.put(world.cluster.get("TweetBot", BOT) | {"status": {"observedGeneration": 1}})

    with pytest.raises(TryAgainError):
        world.reconciler.reconcile(BOT)

    assert world.jobs_created == []


def test_a_job_of_somebody_else_with_our_name_is_not_taken_over() -> None:
    world = World()
    world.reconcile()
    name = world.bot.status.run.job_name
    owner = {"kind": "TweetBot", "name": "ben", "uid": "another"}
    world.cluster.put(
        {"kind": "Job", "metadata": {"name": name, "namespace": "default", "ownerReferences": [owner]}, "spec": {}}
    )

    world.reconcile()

    assert "belongs to somebody else" in world.bot.status.conditions[0].message


def test_a_new_run_deletes_the_jobs_of_the_former_one() -> None:
    world = World()
    run_to_the_end(world)
    former = {job["metadata"]["name"] for job in world.cluster.all("Job")}
    world.edit(runID="again")

    world.settle()

    assert not former & {job["metadata"]["name"] for job in world.cluster.all("Job")}
    assert world.bot.status.run.number == 2
    run_to_the_end(world)
    assert world.bot.status.phase == "Succeeded"


def test_a_run_that_is_asked_for_again_does_not_take_the_end_of_a_former_pod_for_its_own() -> None:
    world = World()
    start_first_pod(world)
    world.end_pods()
    world.delete_jobs()
    world.edit(training={"epochs": 9})
    world.settle()
    world.edit()
    world.settle()

    assert world.jobs_created[0] == world.jobs_created[2], "the name is free again"
    assert world.bot.status.run.job_kind == "prepare"


def test_a_status_that_was_removed_by_hand_is_rebuilt_without_a_second_prepare_job() -> None:
    world = World()
    world.settle()
    world.start_pods()
    world.settle()
    world.cluster.put(world.cluster.get("TweetBot", BOT) | {"status": {"observedGeneration": -1}})

    run_to_the_end(world)

    assert world.bot.status.phase == "Succeeded"
    assert sorted(name.split("-", 2)[2] for name in world.jobs_created) == ["prepare-1", "train-1"]


def test_a_spec_that_cannot_be_read_is_reported_and_left() -> None:
    world = World()
    world.edit(fieldOfTheFuture=1)
    world.deliver()

    world.reconcile()
    world.deliver()
    writes = len(world.cluster.writes)
    world.reconcile()

    condition = {item["type"]: item for item in world.cluster.get("TweetBot", BOT)["status"]["conditions"]}["Stalled"]
    assert (condition["reason"], "fieldOfTheFuture" in condition["message"]) == ("InvalidSpec", True)
    assert len(world.cluster.writes) == writes


def test_a_deleted_bot_is_forgotten() -> None:
    world = World()
    world.settle()
    world.cluster.remove("TweetBot", BOT)

    world.deliver()

    assert world.reconciler.reconcile(BOT) is None
    assert world.cluster.all("Job") + world.cluster.all("ConfigMap") == []


JSON = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2)),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@given(old=st.dictionaries(st.sampled_from("abcd"), JSON), new=st.dictionaries(st.sampled_from("abcd"), JSON))
def test_the_status_patch_turns_the_old_status_into_the_new_one(old: dict, new: dict) -> None:
    assert merge(old, diff(old, new)) == new
    assert diff(new, new) == {}
