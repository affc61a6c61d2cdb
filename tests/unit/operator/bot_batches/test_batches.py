"""What a TweetBotBatch does, from its list to its end."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.operator.bot_batches.batch_world import BATCH, LIST, BatchWorld
from tests.unit.operator.fake_cluster import Document
from tests.unit.operator.kstatus import assert_obeys_kstatus
from tweetbot_operator.cluster import ConflictError, RefusedError


def ready(world: BatchWorld) -> tuple[str, str]:
    condition = next(item for item in world.batch.status.conditions if item.type == "Ready")
    return condition.reason, condition.message


def kinds(world: BatchWorld) -> set[str]:
    return {item.type for item in world.batch.status.conditions}


def handles(count: int) -> list[str]:
    return [f"user{number}" for number in range(count)]


def test_each_handle_gets_a_bot_of_the_template_that_the_batch_owns() -> None:
    template = {
        "metadata": {"labels": {"team": "poets"}, "annotations": {"note": "made together"}},
        "spec": {"source": {"archive": {"uri": "s3://tweets/{handle}.zip"}}, "training": {"epochs": 2}},
    }
    world = BatchWorld(handles=["@Ann", "ben_"], template=template)

    world.settle()

    assert len(world.bots) == 2
    bot = world.bots["team-ann"]
    assert bot["spec"] == {"handles": ["ann"], **template["spec"]}
    assert bot["metadata"]["labels"] == {"team": "poets", "tweetbot.dev/bot-batch": "team"}
    assert bot["metadata"]["annotations"] == {"note": "made together"}
    (owner,) = bot["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("TweetBotBatch", "uid-of-team")
    assert owner["controller"] is owner["blockOwnerDeletion"] is True


def test_only_as_many_bots_are_at_work_as_parallelism_says() -> None:
    world = BatchWorld(handles=handles(25), parallelism=4)
    seen = 0

    while world.batch.status.phase != "Succeeded":
        world.settle()
        assert len(world.at_work) <= 4
        world.end_all()
        seen += 1
        world.wait(10)

    assert seen == 8, "a batch of four each time, and a last look"
    assert sorted(world.runs) == sorted(world.bots)
    assert len(world.bots) == 25


def test_the_summary_counts_and_measures_the_bots() -> None:
    world = BatchWorld(handles=handles(12))
    world.settle()
    for number in range(4):
        world.end(f"team-user{number}", evaluation={"loss": 3.0 + number})
    for number in range(4, 7):
        world.end(f"team-user{number}", "Failed")
    bot = world.bots["team-user7"]
    world.cluster.put({**bot, "status": {"phase": "Training", "progress": {"percent": 44}}})
    world.wait(10)
    world.settle()

    status = world.batch.status
    assert status.bots.to_wire() == {
        "total": 12, "waiting": 0, "pending": 4, "preparing": 0, "queued": 0, "training": 1, "suspended": 0,
        "succeeded": 4, "failed": 3, "deleted": 0,
    }  # fmt: skip
    assert status.percent == (7 * 100 + 44) // 12
    assert status.loss.to_wire() == {"p10": 3.0, "p50": 4.0, "p90": 6.0, "max": 6.0}
    assert status.seconds.p50 == 100
    assert status.gpu_seconds == 7 * 30
    assert [failure.name for failure in status.failures] == ["team-user4", "team-user5", "team-user6"]
    assert status.failures[0].message == "only 17 characters are left"
    assert [item.to_wire() for item in status.failure_reasons] == [{"reason": "TooLittleText", "bots": 3}]
    assert ready(world) == ("BotsRunning", "7 of 12 bots have ended, 5 are at work, 0 wait")


def test_a_batch_is_complete_when_all_its_bots_are_trained_and_quiet_from_then_on() -> None:
    world = BatchWorld()
    world.settle()
    world.end_all()

    world.settle()

    assert world.batch.status.phase == "Succeeded"
    assert kinds(world) == {"Ready", "Complete"}
    assert world.batch.status.completion_time is not None
    writes = len(world.cluster.writes)
    world.wait(3600)
    world.restart()
    world.settle()
    assert len(world.cluster.writes) == writes


def test_a_batch_with_failures_ends_as_failed_and_says_what_to_change() -> None:
    world = BatchWorld()
    world.settle()
    world.end("team-ann")
    world.end("team-ben", "Failed")

    world.settle()

    assert world.batch.status.phase == "Failed"
    assert kinds(world) == {"Ready", "Stalled", "Failed"}
    assert ready(world) == ("BotsFailed", "1 of 2 bots failed")


def test_failed_bots_are_tried_again_once_for_each_new_value() -> None:
    world = BatchWorld()
    world.settle()
    world.end("team-ann")
    world.end("team-ben", "Failed")
    world.settle()

    world.edit(retryFailed="1")
    world.deliver()
    world.reconcile()
    assert kinds(world) == {"Ready", "Reconciling"}, "it is never taken for ended before the failed one is tried"
    world.settle()

    assert world.at_work == ["team-ben"]
    assert world.bots["team-ben"]["spec"]["runID"] == "1"
    assert "runID" not in world.bots["team-ann"]["spec"]
    assert world.batch.status.phase == "Running"
    assert world.batch.status.completion_time is None
    world.end("team-ben", "Failed")
    world.settle()
    assert world.runs == ["team-ann", "team-ben", "team-ben"], "it failed again, and nobody asked for more"
    world.edit(retryFailed="2")
    world.settle()
    world.end("team-ben")
    world.settle()
    assert world.batch.status.phase == "Succeeded"


def test_looks_at_a_batch_are_counted_by_what_came_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = BatchWorld()
    world.reconcile()
    world.edit(paused=True)
    world.deliver()
    with monkeypatch.context() as patched:
        patched.setattr(world.cluster, "patch_status", refuse_by_conflict)
        world.reconcile()

    text = world.metrics.render().decode()

    assert 'tweetbot_bot_batch_reconciles_total{result="succeeded"} 1.0' in text
    assert 'tweetbot_bot_batch_reconciles_total{result="retried"} 1.0' in text
    assert "tweetbot_bot_batch_reconcile_seconds_count 2.0" in text


def refuse_by_conflict(*_: object) -> Document:
    raise ConflictError("it has changed")


def test_retries_keep_to_parallelism_too() -> None:
    world = BatchWorld(handles=handles(9), parallelism=3)
    for _ in range(3):
        world.settle()
        world.end_all("Failed")
    world.settle()

    world.edit(retryFailed="again")
    world.settle()

    assert len(world.at_work) == 3


def test_a_paused_batch_makes_no_bot_and_lets_those_at_work_go_on() -> None:
    world = BatchWorld(handles=handles(6), parallelism=2)
    world.settle()

    world.edit(paused=True)
    world.settle()
    assert ready(world)[0] == "BatchPaused"
    assert kinds(world) == {"Ready", "Reconciling"}
    world.end_all()
    world.wait(10)
    world.settle()

    assert len(world.bots) == 2
    assert world.batch.status.phase == "Paused"
    assert kinds(world) == {"Ready", "Suspended"}
    world.edit(paused=False)
    world.settle()
    assert len(world.bots) == 4


def test_a_bot_that_is_deleted_by_hand_stays_deleted() -> None:
    world = BatchWorld(handles=handles(3))
    world.settle()
    world.wait(10)
    world.settle()

    world.delete_bot("team-user1")
    world.wait(10)
    world.settle()
    world.restart()
    world.settle()

    assert sorted(world.bots) == ["team-user0", "team-user2"]
    assert world.batch.status.bots.deleted == 1
    world.end_all()
    world.settle()
    assert world.batch.status.phase == "Succeeded"


def test_handles_that_are_added_get_their_bots_and_others_are_left_alone() -> None:
    world = BatchWorld(text="ann\nben\n")
    world.settle()
    world.end_all()
    world.settle()
    assert world.batch.status.phase == "Succeeded"

    world.write_list("ann\nben\neve\n")
    world.wait(60)
    world.settle()

    assert world.at_work == ["team-eve"]
    assert world.runs == ["team-ann", "team-ben", "team-eve"]


def test_a_handle_that_is_removed_leaves_its_bot_alone() -> None:
    world = BatchWorld(handles=["ann", "ben"])
    world.settle()

    world.edit(handles=["ben"])
    world.settle()

    assert set(world.bots) == {"team-ann", "team-ben"}
    assert world.batch.status.bots.total == 1


def test_bad_lines_are_told_by_number_and_the_good_ones_go_on() -> None:
    world = BatchWorld(text="# our team\nann\nnot a handle\n@Ann\n\nben # the second\n")

    world.settle()

    assert set(world.bots) == {"team-ann", "team-ben"}
    reason, message = ready(world)
    assert reason == "HandlesInvalid"
    assert "line 3 ('not a handle'): handles have letters" in message
    assert "line 4 (ann): it stands in line 2 already; remove one" in message
    assert kinds(world) == {"Ready", "Stalled"}
    world.end_all()
    world.settle()
    assert world.batch.status.phase == "Failed"
    world.write_list("ann\nben")
    world.wait(60)
    world.settle()
    assert world.batch.status.phase == "Succeeded"


def test_many_bad_lines_make_no_long_message() -> None:
    world = BatchWorld(text="\n".join(f"bad handle {number}" for number in range(5000)))

    world.settle()

    assert ready(world)[1].endswith("; and 4997 more")
    assert world.bots == {}


def test_a_list_that_is_missing_is_looked_for_each_minute() -> None:
    world = BatchWorld(handlesFrom={"configMap": {"name": "list", "key": "team"}})
    world.settle()
    assert ready(world) == ("HandlesNotFound", "there is no ConfigMap list in namespace default; create it")
    world.write_list("ann")
    world.wait(60)
    world.settle()
    assert ready(world) == (
        "HandlesNotFound",
        "the ConfigMap list has no key team; add it, or correct the batch",
    )
    config_map = world.cluster.get("ConfigMap", LIST)
    world.cluster.put({**config_map, "data": {"team": "ann"}})

    world.wait(60)
    world.settle()

    assert set(world.bots) == {"team-ann"}
    assert world.reconcile() <= 60


def test_a_list_that_disappears_stops_nothing_that_is_at_work() -> None:
    world = BatchWorld(text="ann\nben", parallelism=1)
    world.settle()
    world.cluster.remove("ConfigMap", LIST)
    world.wait(60)

    world.settle()

    assert world.at_work == ["team-ann"]
    assert ready(world)[0] == "HandlesNotFound"
    assert world.batch.status.bots.total == 2, "what was known stays"


def test_a_template_that_no_bot_could_be_run_by_is_refused_before_any_is_made() -> None:
    template = {"spec": {"source": {"files": {"uri": "file:///home/{handle}.csv"}}}}
    world = BatchWorld(template=template)

    world.settle()

    assert world.bots == {}
    reason, message = ready(world)
    assert reason == "InvalidSpec"
    assert message.startswith("spec.template.spec.source.files.uri: a pod cannot read file:///home/")


def test_a_spec_of_a_newer_schema_is_stalled_and_stops_nobody_else() -> None:
    world = BatchWorld(novelty=True)

    world.reconcile()

    (ready, stalled) = world.cluster.get("TweetBotBatch", BATCH)["status"]["conditions"]
    assert (ready["type"], stalled["type"]) == ("Ready", "Stalled")
    assert stalled["message"] == "spec.novelty: Extra inputs are not permitted"


def test_a_name_that_another_bot_has_is_told_and_the_others_go_on() -> None:
    world = BatchWorld(handles=handles(3))
    world.cluster.put({"kind": "TweetBot", "metadata": {"name": "team-user1", "namespace": "default"}, "spec": {}})

    world.settle()
    world.wait(10)
    world.settle()

    assert ready(world) == ("BotNameTaken", "there is a TweetBot team-user1 that is not this batch's own")
    assert len(world.bots) == 3
    writes = len(world.cluster.writes)
    world.wait(3600)
    world.settle()
    assert len(world.cluster.writes) == writes, "nothing is said anew while that bot is there"
    world.delete_bot("team-user1")
    world.settle()
    assert world.bots["team-user1"]["metadata"]["ownerReferences"]


def test_a_name_that_is_free_again_is_found_after_all_other_bots_have_ended() -> None:
    world = BatchWorld()
    world.cluster.put({"kind": "TweetBot", "metadata": {"name": "team-ben", "namespace": "default"}, "spec": {}})
    world.settle()
    world.end("team-ann")
    world.settle()
    assert world.batch.status.phase == "Failed"

    seconds = world.reconcile()
    assert seconds == 300, "no event tells a batch of bots that are not its own"
    world.delete_bot("team-ben")
    world.settle()

    assert world.at_work == ["team-ben"]
    assert world.batch.status.phase == "Running"


def put_foreign_bots(world: BatchWorld, count: int) -> None:
    """Take the names of the first bots."""
    for handle in handles(count):
        metadata = {"name": f"team-{handle}", "namespace": "default"}
        world.cluster.put({"kind": "TweetBot", "metadata": metadata, "spec": {}})


@pytest.mark.parametrize("taken", [1, 20])
def test_a_bot_that_is_deleted_after_names_that_are_taken_stays_deleted(taken: int) -> None:
    world = BatchWorld(handles=handles(taken + 2))
    put_foreign_bots(world, taken)
    world.settle()
    deleted, last = (f"team-user{taken}", f"team-user{taken + 1}")

    world.delete_bot(deleted)
    world.wait(10)
    world.settle()
    world.restart()
    world.settle()

    assert world.runs == [deleted, last]
    assert world.batch.status.bots.deleted == 1
    assert world.batch.status.made == taken + 2
    assert world.batch.status.skipped == [f"team-{handle}" for handle in handles(taken)]
    world.delete_bot("team-user0")
    world.settle()
    assert world.runs == [deleted, last, "team-user0"], "its name is free"
    assert "team-user0" not in (world.batch.status.skipped or [])
    world.delete_bot("team-user0")
    world.wait(10)
    world.settle()
    assert world.runs == [deleted, last, "team-user0"], "it was made, so it is deleted like others"


def test_a_list_that_changed_at_its_beginning_forgets_which_names_were_taken() -> None:
    world = BatchWorld(handles=handles(3))
    put_foreign_bots(world, 1)
    world.settle()
    world.delete_bot("team-user1")
    world.settle()

    world.edit(handles=["ann", *handles(3)])
    world.settle()

    assert world.runs == ["team-user1", "team-user2", "team-ann", "team-user1"]
    assert world.batch.status.skipped == ["team-user0"]


def test_no_more_than_twenty_taken_names_are_remembered() -> None:
    world = BatchWorld(handles=handles(22))
    put_foreign_bots(world, 21)

    world.settle()

    assert world.batch.status.made == 20
    assert len(world.batch.status.skipped) == 20


def test_a_batch_of_a_former_ones_name_makes_its_own_bots_as_soon_as_the_former_ones_are_gone() -> None:
    world = BatchWorld(handles=["ann"])
    former = {"name": BATCH.name, "uid": "former", "kind": "TweetBotBatch", "apiVersion": "tweetbot.dev/v1alpha1"}
    metadata = {"name": "team-ann", "namespace": "default", "ownerReferences": [former]}
    world.cluster.put({"kind": "TweetBot", "metadata": metadata, "spec": {}})
    world.settle()
    assert ready(world)[0] == "BotNameTaken"

    world.delete_bot("team-ann")
    world.settle()

    assert world.runs == ["team-ann"]
    assert ready(world)[0] == "BotsRunning"


def test_a_refused_bot_is_tried_again_alone_and_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    world = BatchWorld(handles=handles(9))
    tried = []

    def refuse(manifest: Document) -> Document:
        tried.append(manifest["metadata"]["name"])
        raise RefusedError("exceeded quota: bots")

    with monkeypatch.context() as patched:
        patched.setattr(world.cluster, "create", refuse)
        for _ in range(100):
            world.reconcile()
            world.wait(1)
            world.deliver()

    assert tried == ["team-user0"] * 4
    assert ready(world) == ("BotRefused", "Kubernetes refuses what the batch needs: exceeded quota: bots")
    world.wait(30)
    world.settle()
    assert len(world.bots) == 9


def test_a_batch_that_is_being_deleted_makes_nothing() -> None:
    world = BatchWorld()
    batch = world.cluster.get("TweetBotBatch", BATCH)
    batch["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    world.cluster.put(batch)
    world.deliver()

    assert world.reconcile() is None
    assert world.cluster.writes == []


def test_many_events_of_bots_are_one_look_and_few_writes() -> None:
    world = BatchWorld(handles=handles(40))
    world.settle()
    world.deliver()
    while world.queue.take():
        world.queue.done(BATCH, None)
    writes = len(world.cluster.writes)
    for second in range(60):
        for name, bot in world.bots.items():
            status = {"phase": "Training", "progress": {"percent": second}}
            world.cluster.put({**bot, "status": status})
            assert name
        world.deliver()
        world.wait(1)
        looks = 0
        while world.queue.take():
            looks += 1
            world.queue.done(BATCH, world.reconcile())
        assert looks <= 1

    assert len(world.cluster.writes) - writes <= 6


def test_a_new_operator_makes_no_bot_that_is_there() -> None:
    world = BatchWorld(handles=handles(30))
    world.settle()
    writes = len(world.cluster.writes)

    world.restart()
    world.reconcile()

    assert len(world.cluster.writes) == writes


def test_bots_that_were_just_made_are_known_before_any_watch_tells_of_them() -> None:
    world = BatchWorld(handles=handles(30), parallelism=10)
    world.reconcile()
    tried = len(world.runs)

    world.wait(3600)
    world.reconcile()

    assert len(world.bots) == tried == 10


def crash(world: BatchWorld, *, commits: bool) -> None:
    world.cluster.crash_at = len(world.cluster.writes) + 1
    world.cluster.commits_before_crash = commits


def end_one(world: BatchWorld, phase: str) -> None:
    for name in world.at_work[:1]:
        world.end(name, phase)


def delete_one(world: BatchWorld) -> None:
    for name in list(world.bots)[:1]:
        world.delete_bot(name)


STEPS: dict[str, Any] = {
    "reconcile": BatchWorld.reconcile,
    "deliver": BatchWorld.deliver,
    "deliver batches": lambda world: world.deliver("TweetBotBatch"),
    "deliver bots": lambda world: world.deliver("TweetBot"),
    "succeed": lambda world: end_one(world, "Succeeded"),
    "fail": lambda world: end_one(world, "Failed"),
    "delete": delete_one,
    "pause": lambda world: world.edit(paused=True),
    "go on": lambda world: world.edit(paused=False),
    "retry": lambda world: world.edit(retryFailed=f"t{len(world.cluster.writes)}"),
    "restart": BatchWorld.restart,
    "wait": lambda world: world.wait(11),
    "wait long": lambda world: world.wait(700),
    "crash after the next write": lambda world: crash(world, commits=True),
    "crash before the next write": lambda world: crash(world, commits=False),
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.sampled_from(list(STEPS)), max_size=40))
def test_whatever_happens_all_bots_end_and_none_runs_twice(steps: list[str]) -> None:
    world = BatchWorld(handles=handles(7), parallelism=3)
    for step in steps:
        STEPS[step](world)
        status = world.batch.status
        assert len(world.at_work) <= 3
        if status.conditions:
            assert_obeys_kstatus(status, status.observed_generation)
    world.cluster.crash_at = None
    world.edit(paused=False)
    for _ in range(20):
        world.settle()
        world.end_all()
        world.wait(11)
    assert world.batch.status.phase == ("Failed" if world.batch.status.bots.failed else "Succeeded")
    assert_obeys_kstatus(world.batch.status, world.batch.metadata.generation)
    assert world.batch.status.bots.ended == world.batch.status.bots.total == 7
    if not {"retry", "delete"} & set(steps):
        crashes = sum(step.startswith("crash") for step in steps)
        assert len(world.bots) == 7
        assert len(world.runs) <= 7 + crashes, "a write that was lost is tried again"
        assert set(world.runs) == set(world.bots)


@pytest.mark.parametrize("count", [10, 2000])
def test_the_size_of_the_object_does_not_depend_on_the_number_of_bots(count: int) -> None:
    world = BatchWorld(
        text="\n".join([*handles(20), *(f"someone_{number}" for number in range(count))]), parallelism=10_000
    )
    put_foreign_bots(world, 20)
    world.settle()
    for name in world.at_work:
        if name.startswith("team-someone"):
            world.end(name, "Failed", failure={"reason": "TooLittleText", "message": "x" * 1024})
    world.settle()

    assert world.batch.status.bots.failed == count
    assert len(world.batch.status.skipped) == 20
    assert len(json.dumps(world.cluster.get("TweetBotBatch", BATCH))) < 8 * 1024
