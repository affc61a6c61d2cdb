"""What users and the clock do to a bot with real pods: it is suspended, resumed, and trained again by its schedule."""

import pytest

from tests.e2e.bots import Bots

pytestmark = pytest.mark.e2e
EACH_MINUTE = {"cron": "* * * * *", "minNewPosts": 50}


def test_a_suspended_bot_stops_with_a_checkpoint_and_is_resumed_from_it(bots: Bots) -> None:
    bots.upload_archive("dora", posts=120)
    bots.apply("dora", training={"epochs": 20})
    bots.wait_until("dora", lambda bot: (bot["status"].get("progress") or {}).get("step", 0) > 0)

    bots.edit("dora", suspend=True)
    resting = bots.wait_until("dora", lambda bot: bots.reason(bot, "Suspended") == "Suspended")
    assert bots.pods("dora", "train") == []
    assert bots.keys_of("dora", "/checkpoints/") != []

    bots.edit("dora", suspend=False)
    ended = bots.wait_until_ended("dora")["status"]
    assert ended["phase"] == "Succeeded", ended.get("failure")
    run = ended["run"]
    assert (run["id"], run["attempt"]) == (resting["status"]["run"]["id"], 2)
    assert (run["failedAttempts"], run["preemptions"]) == (0, 0)
    assert "going on from a checkpoint" in bots.read_log("dora", "train-2")
    assert bots.jobs_ever_made("dora") == {"prepare": 1, "train": 2}


@pytest.mark.slow
def test_the_schedule_trains_a_bot_again_only_when_there_is_enough_that_is_new(bots: Bots) -> None:
    bots.upload_archive("finn", posts=120)
    bots.apply("finn", schedule=EACH_MINUTE)
    first = bots.wait_until("finn", lambda bot: bot["status"].get("phase") == "Succeeded")["status"]

    skipped = bots.wait_until("finn", lambda bot: bots.reason(bot, "Complete") == "Unchanged")["status"]
    assert skipped["run"]["number"] > first["run"]["number"]
    assert skipped["run"]["gpuSeconds"] == 0
    assert skipped["outputs"] == first["outputs"]
    assert bots.jobs_ever_made("finn")["train"] == 1

    bots.upload_archive("finn", posts=240)
    trained = bots.wait_until("finn", lambda bot: bot["status"]["outputs"] != first["outputs"])["status"]
    assert trained["data"][0]["kept"] == 240
    assert bots.jobs_ever_made("finn")["train"] == 2
