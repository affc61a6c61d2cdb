"""The end of a bot whose files are deleted with it: nothing is left behind in silence, and nobody is stuck for good."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.operator.factories import NOW, make_failure, make_job, make_tweetbot
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.life import NOTHING, SETTINGS, Life
from tests.unit.operator.world import BOT, World
from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome, Purged
from tweetbot_api.status import TweetBotStatus
from tweetbot_api.types import TweetBot
from tweetbot_operator.builders.manifest import build_run_manifest
from tweetbot_operator.observed import Observed
from tweetbot_operator.reading import read_job
from tweetbot_operator.situation import Plan

DELETE = {"output": {"deletionPolicy": "Delete"}}
RECEIPT = BotOutcome(purged=Purged(versions=31, uploads=2))


def mark(bot: TweetBot, **metadata: object) -> TweetBot:
    return bot.model_copy(update={"metadata": bot.metadata.model_copy(update=metadata)})


def make_deleted(*, has_trained: bool = False, **spec: object) -> Life:
    life = Life(mark(make_tweetbot(**(spec or DELETE)), finalizers=["other/finalizer", names.FINALIZER]))
    if has_trained:
        life.start_training()
    life.bot = mark(life.bot, deletion_timestamp=NOW)
    return life


def test_a_bot_that_is_to_be_purged_gets_its_finalizer_before_anything_else() -> None:
    life = Life(mark(make_tweetbot(**DELETE), finalizers=["other/finalizer"]))

    assert life.step() == Plan(finalizers=("other/finalizer", names.FINALIZER), requeue_after=0)


def test_no_plan_writes_the_finalizers_and_a_status_for_the_second_write_would_conflict() -> None:
    with pytest.raises(ValueError, match="not both"):
        Plan(finalizers=(), status=TweetBotStatus())


def test_a_bot_whose_files_are_to_stay_after_all_loses_the_finalizer() -> None:
    life = Life(mark(make_tweetbot(), finalizers=[names.FINALIZER]))

    assert life.step() == Plan(finalizers=(), requeue_after=0)


def test_the_policy_is_no_part_of_the_run() -> None:
    assert make_tweetbot(**DELETE).run_id == make_tweetbot().run_id


def test_what_may_still_write_is_stopped_first() -> None:
    life = make_deleted(has_trained=True)
    running = life.observe(name="runs")

    assert life.step(running).delete == (running.job,)
    going = replace(running, job=replace(running.job, is_deleting=True))
    assert life.step(going).delete == ()
    assert life.bot.status.run.job_kind == "train"
    life.step()

    assert (life.bot.status.phase, life.bot.status.run.job_kind) == ("Deleting", "purge")


def test_the_purge_is_a_job_without_gpu_that_is_told_the_folder_of_all_runs() -> None:
    life = make_deleted(
        output={"deletionPolicy": "Delete", "s3": {"credentialsSecret": {"name": "keys"}}},
        tracking={"wandb": {"mode": "online", "apiKeySecret": {"name": "wandb"}}},
    )
    life.step()

    (job,) = life.step().create

    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["tweetbot", "job", "purge"]
    assert container["image"].endswith("prepare:1")
    assert names.GPU_RESOURCE not in container["resources"]["limits"]
    assert {item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"]} == {"keys"}
    manifest = build_run_manifest("purge", "job", [life.bot], SETTINGS)
    assert manifest.bots[0].output.prefix == "default/ann"
    assert manifest.bots[0].wandb.mode == "disabled"


def test_the_bot_is_let_go_with_a_receipt() -> None:
    life = make_deleted()
    life.step()
    life.step(life.observe(name="runs"))

    plan = life.step(life.finish(RECEIPT))

    assert plan.finalizers == ("other/finalizer",)
    (event,) = plan.events
    assert event.reason == Reason.PURGED
    assert event.message == "deleted 31 versions and 2 unfinished uploads below s3://models/default/ann/"


def test_a_purge_that_fails_is_tried_again_and_tells_the_way_out() -> None:
    life = make_deleted()
    life.step()
    life.step(life.observe(name="runs"))
    failure = make_failure("StorageAccessDenied", 64, "no right to list versions")

    plan = life.step(life.finish(failure, 64))

    assert (plan.finalizers, life.reason) == (None, Reason.PURGE_FAILED)
    assert "no right to list versions" in life.message
    assert "tweetbot.dev/skip-purge=true" in life.message
    assert life.step().create == ()
    life.now = NOW + timedelta(seconds=10)
    (job,) = life.step().create
    assert job["metadata"]["name"].endswith("-purge-2")


def test_an_annotation_lets_the_bot_go_at_once() -> None:
    life = make_deleted()
    life.step()
    life.bot = mark(life.bot, annotations={names.ANNOTATION_SKIP_PURGE: "true"})

    plan = life.step()

    assert plan.finalizers == ("other/finalizer",)
    assert [event.reason for event in plan.events] == [Reason.PURGE_SKIPPED]


def test_the_deadline_and_suspension_of_the_run_do_not_hold_the_purge_up() -> None:
    life = make_deleted(activeDeadlineSeconds=1, suspend=True, **DELETE)
    life.now = NOW + timedelta(days=1)
    life.step()

    assert len(life.step().create) == 1
    assert life.step(life.observe(name="runs")).requeue_after > 0


def test_a_shared_job_is_left_to_its_neighbours_when_a_bot_is_deleted() -> None:
    life = make_deleted(has_trained=True)
    job = read_job(make_job(life.bot))
    shared = replace(job, owners=(*job.owners, job.owners[0]._replace(name="ben", uid="uid-of-ben")))

    assert life.step(Observed(job=shared)).delete == ()


def delete_bot(cluster: FakeCluster) -> None:
    bot = cluster.get("TweetBot", BOT)
    cluster.put({**bot, "metadata": {**bot["metadata"], "deletionTimestamp": "2026-11-23T12:00:00Z"}})


def test_a_crash_at_any_write_of_the_deletion_ends_in_one_purge_and_no_bot() -> None:
    def live(crash_at: int | None, *, commits: bool) -> World:
        world = World(**DELETE)
        world.settle()
        world.start_pods()
        world.settle()
        begun = len(world.cluster.writes)
        delete_bot(world.cluster)
        world.cluster.crash_at = begun + crash_at if crash_at else None
        world.cluster.commits_before_crash = commits
        for _ in range(10):
            world.settle()
            world.remove_orphans()
            world.start_pods()
            world.end_pods(RECEIPT)
        return world

    calm = live(None, commits=True)
    assert ("TweetBot", BOT) not in calm.cluster.objects
    for crash_at in range(1, 8):
        for commits in (True, False):
            world = live(crash_at, commits=commits)
            assert ("TweetBot", BOT) not in world.cluster.objects
            assert {name for name in world.jobs_created if "purge" in name} == {
                name for name in calm.jobs_created if "purge" in name
            }


def test_a_job_that_no_watch_has_told_of_is_stopped_before_the_files_are_deleted() -> None:
    """As one whose creation was answered too late, or that another operator made."""
    world = World(**DELETE)
    for _ in range(3):
        world.reconcile()
    (job,) = world.store.jobs.all()
    world.store.jobs.drop(job.key)
    world.cluster.events.clear()
    delete_bot(world.cluster)
    world.settle()

    purge = next(number for number, write in enumerate(world.cluster.writes) if "-purge-" in write)
    assert f"delete Job {job.key.name}" in world.cluster.writes[:purge]


def test_a_purge_that_kubernetes_refuses_tells_the_way_out_and_is_made_when_it_may_be() -> None:
    """As in a namespace that is being deleted, where nothing new is made."""
    world = World(**DELETE)
    world.settle()
    world.remove_orphans()
    delete_bot(world.cluster)
    world.cluster.refusals["Job"] = "the namespace is being terminated"
    for _ in range(3):
        world.settle()
        world.end_pods(None)

    assert world.bot.status.phase == "Deleting"
    ready = next(item for item in world.bot.status.conditions if item.type == "Ready")
    assert ready.reason == Reason.PURGE_FAILED
    assert "being terminated" in ready.message
    assert "tweetbot.dev/skip-purge=true" in ready.message

    del world.cluster.refusals["Job"]
    for _ in range(10):
        world.settle()
        world.start_pods()
        world.end_pods(RECEIPT)
    assert ("TweetBot", BOT) not in world.cluster.objects


def test_a_bot_without_a_finalizer_of_ours_is_left_to_others() -> None:
    life = Life(mark(make_tweetbot(), deletion_timestamp=NOW, finalizers=["foregroundDeletion"]))

    assert life.step(NOTHING) == Plan()
