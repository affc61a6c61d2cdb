"""Several bots in one Job: assigned, made, followed, left, and mended after every crash."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.unit.operator.company import Company
from tests.unit.operator.factories import make_failure, make_outcome, make_tweetbot_document
from tests.unit.operator.test_metrics import read
from tweetbot_api.types import TweetBot
from tweetbot_operator.builders.job import build_job
from tweetbot_operator.observed import Assignment, Key
from tweetbot_operator.policies.batching import Group
from tweetbot_operator.waiting import SHARED_JOB_SECONDS, SharedJob

NAMES = ("ann", "ben", "cat")
ANN = Key("default", "ann")


def company(*names: str, **batching: object) -> Company:
    return Company(*(names or NAMES), **batching)


def test_bots_that_come_together_share_both_jobs() -> None:
    world = company()
    world.run_on(2)
    assert world.jobs == [("prepare", list(NAMES)), ("train", list(NAMES))]
    assert set(world.statuses.values()) == {"Succeeded"}


def test_each_bot_of_a_batch_costs_three_status_writes_and_no_event() -> None:
    names = [f"bot-{number:02}" for number in range(16)]
    world = Company(*names, max_bots=16)
    world.run_on(2)
    assert set(world.statuses.values()) == {"Succeeded"}
    patches = [write for write in world.cluster.writes if write.startswith("patch")]
    assert len(patches) == 3 * len(names)
    assert len(world.cluster.writes) == len(patches) + 4


def test_bots_may_be_assigned_side_by_side() -> None:
    names = [f"bot-{number:02}" for number in range(16)]
    world = Company(*names, max_bots=16)
    with ThreadPoolExecutor(4) as pool:
        world.dispatcher._map = pool.map
        world.run_on(2)
    assert world.jobs == [("prepare", names), ("train", names)]
    assert set(world.statuses.values()) == {"Succeeded"}


def test_no_more_bots_share_a_job_than_the_platform_allows() -> None:
    names = [f"bot-{number:02}" for number in range(12)]
    world = Company(*names, max_bots=8, windowSeconds=60)
    world.run_on(3)
    sizes = sorted((kind, len(bots)) for kind, bots in world.jobs)
    assert sizes == [("prepare", 4), ("prepare", 8), ("train", 4), ("train", 8)]
    assert sorted(name for kind, bots in world.jobs if kind == "train" for name in bots) == names


def test_slow_writes_are_made_in_turns_so_that_the_operator_can_be_stopped_between_them() -> None:
    names = [f"bot-{number:02}" for number in range(24)]
    world = Company(*names, max_bots=8)
    assign, dispatch, jobs_at_a_turn = world.reconciler.assign, world.dispatcher.dispatch, []

    def assign_slowly(key: Key, assignment: Assignment) -> object:
        world.now += timedelta(seconds=1)
        return assign(key, assignment)

    def count_jobs(group: Group) -> float | None:
        before = len(world.jobs)
        seconds = dispatch(group)
        jobs_at_a_turn.append(len(world.jobs) - before)
        return seconds

    world.reconciler.assign, world.dispatcher.dispatch = assign_slowly, count_jobs
    world.run_on(3)
    assert set(world.statuses.values()) == {"Succeeded"}
    assert max(jobs_at_a_turn) == 1


def test_a_bot_that_comes_alone_waits_a_moment_and_has_jobs_of_its_own_name() -> None:
    world = company("ann")
    world.run_on(2)
    run_id = world.bot_named("ann").status.run.id
    assert world.jobs_created == [f"ann-{run_id}-prepare-1", f"ann-{run_id}-train-1"]
    assert world.statuses == {"ann": "Succeeded"}


def test_prepared_bots_wait_for_those_who_are_still_being_prepared() -> None:
    world = company("ann", "ben", max_bots=8, windowSeconds=300)
    world.live(5)
    world.add("cat")
    world.live(5)
    world.start_pods()
    world.live(2)
    first = next(pod for pod in world.live_pods if "ann" in world.bots_of(world.job_of(pod)))
    world.cluster.objects["Pod", Key("default", first["metadata"]["name"])]["status"]["phase"] = "Running"
    others = [pod for pod in world.live_pods if pod["metadata"]["name"] != first["metadata"]["name"]]
    assert len(others) == 1
    world.end_jobs()
    world.live(5)
    assert ("train", ["ann", "ben", "cat"]) in world.jobs


@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
def test_a_crash_at_any_write_changes_nothing_in_the_end(committed: bool) -> None:
    calm = company()
    calm.run_on(2)
    for crash_at in range(1, len(calm.cluster.writes) + 1):
        world = company()
        world.cluster.crash_at, world.cluster.commits_before_crash = crash_at, committed
        world.run_on(4)
        assert set(world.statuses.values()) == {"Succeeded"}, crash_at
        trained = sorted(name for kind, bots in world.jobs if kind == "train" for name in bots)
        prepared = sorted(name for kind, bots in world.jobs if kind == "prepare" for name in bots)
        assert (trained, prepared) == (list(NAMES), list(NAMES)), crash_at
        assert {world.bot_named(name).status.run.attempt for name in NAMES} == {1}


def test_a_bot_that_changed_while_it_was_assigned_is_left_out_and_comes_later() -> None:
    world = company()
    original = world.reconciler.assign

    def assign(key: Key, assignment: object) -> object:
        if key.name == "ben" and "maxAttempts" not in world.cluster.get("TweetBot", key)["spec"]:
            world.edit_bot("ben", maxAttempts=5)
        return original(key, assignment)

    world.reconciler.assign = assign
    world.run_on(3)
    assert set(world.statuses.values()) == {"Succeeded"}
    assert [bots for kind, bots in world.jobs if kind == "prepare"] == [["ann", "cat"], ["ben"]]


def test_a_bot_that_cannot_be_read_when_it_is_assigned_does_not_hold_up_the_others() -> None:
    world = company()
    original = world.reconciler.assign

    def assign(key: Key, assignment: object) -> object:
        if key.name == "ben":
            world.edit_bot("ben", fieldOfTheFuture=1)
            world.deliver()
        return original(key, assignment)

    world.reconciler.assign = assign
    world.run_on(2)
    assert world.statuses == {"ann": "Succeeded", "ben": "Failed", "cat": "Succeeded"}


def test_a_bot_that_cannot_be_read_when_its_job_is_made_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = company()
    with monkeypatch.context() as crashed:
        crashed.setattr(world.dispatcher, "_make_job", lambda key, members: None)
        world.live(3)

    world.edit_bot("ben", fieldOfTheFuture=1)
    world.run_on(2)

    assert world.statuses == {"ann": "Succeeded", "ben": "Failed", "cat": "Succeeded"}


def test_a_bot_that_has_changed_when_its_job_is_made_is_looked_at_though_a_list_tells_of_it_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = company()
    with monkeypatch.context() as crashed:
        crashed.setattr(world.dispatcher, "_make_job", lambda key, members: None)
        world.live(2)
    job = world.bot_named("ben").status.run.job_name
    world.edit_bot("ben", suspend=True)
    while item := world.queue.take():
        world.queue.done(item, None)

    world.dispatcher.make_job(SharedJob(Key("default", job)))
    world.feed.see_bot({"type": None, "object": world.cluster.get("TweetBot", Key("default", "ben"))})

    assert world.queue.take() == Key("default", "ben")


def test_a_job_is_not_made_by_those_who_miss_it_while_others_are_still_being_assigned() -> None:
    world = company()
    original = world.reconciler.assign

    def assign(key: Key, assignment: Assignment) -> object:
        assigned = original(key, assignment)
        assert world.dispatcher.make_job(SharedJob(Key("default", assignment.job_name))) == SHARED_JOB_SECONDS
        return assigned

    world.reconciler.assign = assign
    world.run_on(2)
    assert world.jobs == [("prepare", list(NAMES)), ("train", list(NAMES))]


def test_bots_that_find_their_job_made_without_them_get_another() -> None:
    world = company()
    original = world.reconciler.assign
    made: list[TweetBot] = []

    def assign(key: Key, assignment: Assignment) -> object:
        assigned = original(key, assignment)
        world.work()
        if assigned is not None and not made:
            made.append(assigned)
        if key.name == "cat" and len(world.jobs) == 0:
            world.cluster.put(build_job("prepare", assignment.job_name, made, world.settings))
        return assigned

    world.reconciler.assign = assign
    world.run_on(4)
    assert set(world.statuses.values()) == {"Succeeded"}
    assert [bots for kind, bots in world.jobs if kind == "prepare"] == [["ann"], ["ben", "cat"]]


def test_one_bots_failure_leaves_its_neighbours_alone() -> None:
    world = company()
    world.live()
    world.start_pods()
    world.live(2)
    world.end_jobs(exit_code=65, ben=make_failure("TooLittleText", 65))
    world.run_on(2)
    assert world.statuses == {"ann": "Succeeded", "ben": "Failed", "cat": "Succeeded"}
    assert ("train", ["ann", "cat"]) in world.jobs
    assert world.bot_named("ben").status.failure.reason == "TooLittleText"


def test_a_job_that_dies_hands_its_unfinished_bots_to_another_and_the_finished_stay_finished() -> None:
    names = [f"bot-{number:02}" for number in range(16)]
    world = Company(*names, max_bots=16)
    world.live()
    world.start_pods()
    world.live(2)
    world.end_jobs()
    world.live()
    world.start_pods()
    world.live(2)
    cut_off = dict.fromkeys(names, make_failure("Killed", 137))
    world.end_jobs(137, **{**cut_off, "bot-03": make_outcome("train")})
    done = world.bot_named("bot-03").status
    world.run_on(3)
    assert set(world.statuses.values()) == {"Succeeded"}
    assert world.bot_named("bot-03").status.run.attempt == 1
    assert done.run.id == world.bot_named("bot-03").status.run.id
    again = [bots for kind, bots in world.jobs if kind == "train"][1:]
    assert [len(bots) for bots in again] == [2] * 7 + [1]
    assert sorted(name for bots in again for name in bots) == sorted(set(names) - {"bot-03"})


def test_a_bot_that_is_edited_while_it_waits_to_be_trained_does_not_get_into_the_others_job() -> None:
    world = company("ann", "ben")
    world.live()
    world.start_pods()
    world.live(2)
    world.end_jobs()
    world.deliver()
    for name in ("ann", "ben"):
        world.reconciler.reconcile(Key("default", name))
    world.edit_bot("ann", training={"epochs": 9})
    world.deliver()
    world.wait(20)
    for group in list(world.waiting._groups):
        world.dispatcher.dispatch(group)

    assert ("train", ["ben"]) in world.jobs
    world.run_on(3)
    assert set(world.statuses.values()) == {"Succeeded"}
    assert world.bot_named("ben").status.run.attempt == 1


def test_a_bot_that_is_edited_while_it_is_trained_is_prepared_again_with_others() -> None:
    world = company("ann", "ben")
    world.run_on(1)
    world.live()
    for name in ("ann", "ben"):
        world.edit_bot(name, training={"epochs": 9})
    world.live()

    assert set(world.statuses.values()) == {"Preparing"}


def test_an_attempt_that_has_its_job_is_not_given_to_it_again() -> None:
    """As by an operator whose list of who waits is of the past: the manifest would be forgotten."""
    world = company("ann")
    world.deliver()
    world.reconciler.reconcile(ANN)
    world.wait(20)
    (group,) = world.waiting._groups
    world.dispatcher.dispatch(group)
    world.reconciler.reconcile(ANN)
    own_name = world.bot_named("ann").status.run.job_name
    assert world.jobs_created == [own_name]

    assignment = Assignment(job_name=own_name, own_name=own_name, likeness=group.likeness)
    assert world.reconciler.assign(ANN, assignment) is None
    world.live(3)
    assert ("ConfigMap", Key("default", own_name)) in world.cluster.objects


def test_a_shared_job_that_was_deleted_unheard_of_is_not_made_again_beside_its_pod() -> None:
    world = company()
    world.live()
    world.start_pods()
    (job,) = world.store.jobs.all()
    world.cluster.events.clear()
    world.cluster.remove("Job", job.key)
    world.cluster.events.clear()
    world.store.jobs.drop(job.key)

    assert world.dispatcher.make_job(SharedJob(job.key)) == SHARED_JOB_SECONDS
    assert world.jobs == []
    world.remove_orphans()
    world.dispatcher.make_job(SharedJob(job.key))
    assert world.jobs == [("prepare", list(NAMES))]


def test_a_job_at_work_that_is_unheard_of_is_not_deleted_for_one_who_has_left_it() -> None:
    world = company()
    world.live()
    (job,) = world.store.jobs.all()
    world.store.jobs.drop(job.key)
    world.edit_bot("ben", training={"epochs": 9})

    world.dispatcher.make_job(SharedJob(job.key))

    assert world.jobs == [("prepare", list(NAMES))]


@pytest.mark.parametrize("how", ["suspend", "delete", "edit"])
def test_one_bot_that_leaves_does_not_disturb_the_job_of_the_others(how: str) -> None:
    world = company()
    world.live()
    world.start_pods()
    world.live(2)
    (job,) = world.cluster.all("Job")
    if how == "delete":
        world.cluster.objects.pop(("TweetBot", Key("default", "ben")))
    else:
        world.edit_bot("ben", **({"suspend": True} if how == "suspend" else {"runID": "again"}))
    world.live()
    assert (
        world.cluster.get("Job", Key("default", job["metadata"]["name"]))["metadata"]["uid"] == job["metadata"]["uid"]
    )
    world.end_jobs()
    world.run_on(3)
    assert (world.statuses["ann"], world.statuses["cat"]) == ("Succeeded", "Succeeded")
    if how == "edit":
        assert (world.statuses["ben"], world.bot_named("ben").status.run.number) == ("Succeeded", 2)
    if how == "suspend":
        assert (world.statuses["ben"], world.bot_named("ben").status.run.attempt) == ("Suspended", 2)


def test_a_job_that_all_its_bots_have_left_is_deleted() -> None:
    world = company()
    world.live()
    for name in NAMES:
        world.edit_bot(name, suspend=True)
    world.live()
    assert world.jobs == []
    assert set(world.statuses.values()) == {"Suspended"}


def test_a_shared_job_is_removed_when_the_time_of_its_last_bot_is_over() -> None:
    world = company()
    world.run_on(2)
    world.wait(90_000)
    world.restart()
    world.live(3)
    assert world.jobs == []
    assert set(world.statuses.values()) == {"Succeeded"}


def test_a_deleted_shared_job_is_an_interruption_even_before_it_was_recorded() -> None:
    world = company()
    world.live()
    assert world.bot_named("ann").status.run.job_uid is None
    world.delete_jobs()
    world.run_on(4)
    assert set(world.statuses.values()) == {"Succeeded"}
    assert {world.bot_named(name).status.run.preemptions for name in NAMES} == {1}


def test_a_refused_job_is_told_to_all_its_bots_and_made_when_it_may_be() -> None:
    world = company()
    world.cluster.refusals = {"Job": "exceeded quota: jobs"}
    world.live()
    messages = [world.bot_named(name).status.conditions[0].message for name in NAMES]
    assert all("exceeded quota: jobs" in message for message in messages)
    world.cluster.refusals = {}
    world.live(120)
    world.run_on(2)
    assert set(world.statuses.values()) == {"Succeeded"}


def test_bots_of_one_job_share_its_gpu_time() -> None:
    world = company("ann", "ben")
    world.live()
    world.start_pods()
    world.live(3)
    world.end_jobs()
    world.live()
    world.start_pods()
    world.live(20)
    world.end_jobs()
    world.live(3)
    seconds = [world.bot_named(name).status.run.gpu_seconds for name in ("ann", "ben")]
    assert seconds[0] == seconds[1]
    assert 9 <= seconds[0] <= 12


def test_a_quiet_batch_is_quiet_for_a_new_operator_too() -> None:
    world = company()
    world.run_on(2)
    writes = len(world.cluster.writes)
    world.restart()
    world.live(60)
    assert len(world.cluster.writes) == writes


def test_a_status_that_was_removed_by_hand_is_taken_up_from_the_shared_job() -> None:
    world = company()
    world.live()
    world.start_pods()
    world.live(2)
    bot = world.cluster.get("TweetBot", Key("default", "ben"))
    world.phases["ben"] = None
    world.cluster.put({**bot, "status": make_tweetbot_document("ben")["status"]})
    world.run_on(3)
    assert set(world.statuses.values()) == {"Succeeded"}
    assert [kind for kind, _ in world.jobs] == ["prepare", "train"]


def test_no_more_jobs_wait_for_a_node_than_the_platform_allows() -> None:
    world = Company(*[f"bot-{number:02}" for number in range(10)], max_bots=2, maxWaitingJobs=2)
    world.live(20)
    assert len(world.jobs) == 2
    world.start_pods()
    world.live(5)
    assert len(world.jobs) == 4, "a Job that a node has taken waits no more, finished or not"
    world.run_on(12)
    assert set(world.statuses.values()) == {"Succeeded"}


def test_a_user_who_comes_later_does_not_wait_for_all_bots_of_one_who_came_before() -> None:
    world = Company(*[f"bot-{number:02}" for number in range(20)], max_bots=2, maxWaitingJobs=1)
    world.live(10)
    world.add("late")
    late = world.cluster.get("TweetBot", Key("default", "late"))
    late["metadata"].setdefault("labels", {})["tweetbot.dev/user"] = "eve"
    world.cluster.put(late)
    world.live(10)
    world.start_pods()
    world.live(5)
    (place,) = (place for place, (_, bots) in enumerate(world.jobs) if "late" in bots)
    assert place == 1, "ten Jobs' bots came before"


def test_a_bot_that_waits_behind_others_for_long_says_so_once() -> None:
    world = Company(*[f"bot-{number:02}" for number in range(4)], max_bots=2, maxWaitingJobs=1)
    world.live(20)
    assert world.statuses["bot-03"] is None
    world.live(30)
    (condition,) = (item for item in world.bot_named("bot-03").status.conditions if item.type == "Ready")
    assert "wait for a node" in condition.message
    written = len(world.cluster.writes)
    world.live(30)
    assert len(world.cluster.writes) == written
    world.run_on(6)
    assert set(world.statuses.values()) == {"Succeeded"}


def test_a_bot_of_the_name_of_one_that_was_deleted_while_it_waited_says_so_too() -> None:
    world = Company(*[f"bot-{number:02}" for number in range(4)], max_bots=2, maxWaitingJobs=1)
    world.live(50)
    former = world.cluster.remove("TweetBot", Key("default", "bot-03"))
    world.live(3)
    world.phases.clear()
    metadata = {"name": "bot-03", "namespace": "default", "uid": "uid-of-another"}

    world.cluster.put({**former, "metadata": metadata, "status": {"observedGeneration": -1}})
    world.live(50)

    assert world.bot_named("bot-03").status.conditions, "nobody would know why it waits"


def test_what_prepare_has_found_of_a_bot_that_waits_behind_others_outlives_trainer_and_operator() -> None:
    """A trainer repeats its result for ten minutes, and a line can be longer than that."""
    world = Company(*[f"bot-{number:02}" for number in range(4)], max_bots=2, maxWaitingJobs=1)
    for _ in range(2):
        world.live(20)
        world.start_pods()
    world.live(3)
    world.end_jobs()
    world.live(20)
    waiting = [name for name, phase in world.statuses.items() if phase == "Preparing"]
    assert len(waiting) == 2, "the others are given to the one train Job that may wait"
    world.live(40)

    for name in waiting:
        bot = world.bot_named(name)
        assert (bot.status.phase, bot.status.run.job_kind, bot.status.run.job_name) == ("Pending", "train", None)
        assert bot.status.dataset
    world.restart()
    for key in [key for key in world.cluster.objects if key[0] in {"Job", "Pod"} and "prepare" in key[1].name]:
        del world.cluster.objects[key]
    world.run_on(4)
    assert set(world.statuses.values()) == {"Succeeded"}
    assert sum(kind == "prepare" for kind, _ in world.jobs) == 0, "nothing is prepared again"


def test_jobs_of_other_bots_do_not_stand_in_the_same_line() -> None:
    world = Company(*[f"bot-{number:02}" for number in range(4)], max_bots=2, maxWaitingJobs=1)
    for name in ("files-0", "files-1"):
        world.add(name, source={"files": {"uri": "s3://tweets/{handle}.jsonl"}})
    world.live(20)
    assert [len(bots) for _, bots in world.jobs] == [2, 2]


def test_what_comes_of_looks_at_those_who_may_share_a_job_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = company()
    world.cluster.refusals = {"Job": "exceeded quota: jobs"}
    world.live(20)
    assert read(world.metrics, 'tweetbot_group_reconciles_total{result="succeeded"}') > 0
    assert read(world.metrics, 'tweetbot_group_reconciles_total{result="retried"}') > 0
    assert read(world.metrics, 'tweetbot_group_reconciles_total{result="failed"}') == 0

    monkeypatch.setattr(world.store, "jobs", None)
    with pytest.raises(AttributeError):
        world.dispatcher.make_job(SharedJob(ANN))

    assert read(world.metrics, 'tweetbot_group_reconciles_total{result="failed"}') == 1
