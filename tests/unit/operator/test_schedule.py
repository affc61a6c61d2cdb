"""Training again by the clock, and only if there is something new."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.operator.factories import NOW, make_failure, make_outcome, make_tweetbot
from tests.unit.operator.life import SETTINGS, Life
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome, Unchanged
from tweetbot_operator.builders.manifest import build_run_manifest
from tweetbot_operator.situation import Plan

WEEKLY = {"schedule": {"cron": "0 3 * * 1", "minNewPosts": 10}}
MONDAY = datetime(2026, 11, 30, 3, tzinfo=UTC)


def finish_first_run(**spec: object) -> Life:
    life = Life(make_tweetbot(**(spec or WEEKLY)))
    life.start_training()
    life.step(life.finish(make_outcome("train")))
    return life


def start_second_run() -> Life:
    life = finish_first_run()
    life.now = MONDAY
    life.step()
    return life


def test_a_finished_run_waits_for_the_next_time_and_starts_another_then() -> None:
    life = finish_first_run()
    first = life.bot.status.run

    assert life.step() == Plan(requeue_after=(MONDAY - NOW).total_seconds())
    life.now = MONDAY
    life.step()

    run = life.bot.status.run
    assert (run.number, run.scheduled_time, run.job_kind) == (2, MONDAY, "prepare")
    assert run.id == life.bot.run_id != first.id
    assert life.bot.status.outputs is not None, "the former model stays to be seen"
    assert life.step().create[0]["metadata"]["name"] == f"ann-{run.id}-prepare-1"


def test_times_that_were_missed_are_made_up_for_once() -> None:
    life = finish_first_run()
    life.now = MONDAY + timedelta(weeks=5, hours=1)

    life.step()

    assert life.bot.status.run.scheduled_time == life.now


def test_the_prepare_job_is_told_what_to_compare_with_and_the_train_job_is_not() -> None:
    life = start_second_run()
    uri = life.bot.status.outputs.manifest_uri.removesuffix("/manifest.json")

    former = build_run_manifest("prepare", "job", [life.bot], SETTINGS).bots[0].former
    assert (former.uri, former.min_new_posts) == (uri, 10)
    life.start_job()
    life.step(life.finish(make_outcome("prepare")))

    assert build_run_manifest("train", "job", [life.bot], SETTINGS).bots[0].former is None


def test_an_unchanged_corpus_costs_nothing_and_keeps_the_former_model() -> None:
    life = start_second_run()
    outputs = life.bot.status.outputs
    life.start_job()

    life.step(life.finish(BotOutcome(unchanged=Unchanged(new_posts=3))))

    assert (life.bot.status.phase, life.reason) == ("Succeeded", Reason.UNCHANGED)
    assert life.message == "3 new posts, fewer than 10; the former model stays"
    assert (life.bot.status.outputs, life.bot.status.run.gpu_seconds) == (outputs, 0)
    assert life.step() == Plan(requeue_after=7 * 86_400)
    life.now = MONDAY + timedelta(weeks=1)
    life.step()
    assert life.bot.status.run.number == 3
    assert life.bot.status.run.unchanged is None


def test_enough_new_posts_are_trained_on_and_replace_the_model() -> None:
    life = start_second_run()
    life.start_job()
    life.step(life.finish(make_outcome("prepare")))
    life.start_job()

    life.step(life.finish(make_outcome("train", manifest_sha256="b" * 64)))

    assert life.bot.status.outputs.manifest_sha256 == "b" * 64
    assert life.bot.status.run.id in life.bot.status.outputs.model_uri


def test_a_scheduled_run_that_fails_says_so_and_keeps_the_former_model() -> None:
    life = start_second_run()
    life.start_job()
    life.step(life.finish(make_failure("SourceNotFound", 66), 66))
    life.step()

    assert (life.bot.status.phase, life.bot.status.outputs is None) == ("Failed", False)


def test_an_edit_after_a_scheduled_run_makes_one_more_run_and_no_endless_row() -> None:
    life = start_second_run()
    life.edit(training={"epochs": 2}, **WEEKLY)
    life.step()
    number = life.bot.status.run.number

    assert len(life.step().create) == 1
    assert (number, life.bot.status.run.number) == (3, 3)


@pytest.mark.parametrize("spec", [{}, {"suspend": True, **WEEKLY}], ids=["no schedule any more", "suspended"])
def test_nothing_is_started_while_it_is_not_wanted(spec: dict) -> None:
    life = start_second_run()
    life.start_job()
    life.step(life.finish(BotOutcome(unchanged=Unchanged(new_posts=0))))
    ended = life.bot.status.run
    life.edit(**spec)
    life.now = MONDAY + timedelta(weeks=9)

    life.step()

    assert life.bot.status.run == ended


@pytest.mark.parametrize("cron", ["every monday", "0 3 * * 1 2026", "99 3 * * 1"])
def test_a_schedule_that_cannot_be_read_is_stalled(cron: str) -> None:
    life = Life(make_tweetbot(schedule={"cron": cron}))

    life.step()

    assert life.reason == Reason.INVALID_SPEC
    assert life.message.startswith("spec.schedule.cron")
