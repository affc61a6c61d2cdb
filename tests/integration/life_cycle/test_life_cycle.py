"""The life of a bot against a real apiserver, Job controller and garbage collector: given, when, then.

The test plays the kubelet and the queue. A case is right if the bot has gone through the phases that it names and no
other, which the apiserver's own history tells.
"""

import time
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from tests.integration.api import Api, ApiError, bots_path, wait_for
from tests.integration.life_cycle import given
from tests.integration.life_cycle.bot import Bot
from tests.integration.life_cycle.case import Case
from tests.integration.life_cycle.cases import CASES
from tests.integration.life_cycle.cases_of_users import PURGE
from tests.integration.life_cycle.given import Given
from tests.unit.operator.factories import make_failure
from tweetbot_api.messages import BotOutcome, Purged
from tweetbot_operator.life_cycle import TRANSITIONS

pytestmark = pytest.mark.integration
SILENCE_SECONDS = 90
"""More than the operator's timeout, and than any other case takes."""


def test_the_cases_go_through_every_change_of_phase_that_there_is() -> None:
    shown = {change for case in CASES.values() for change in pairwise(case.path) if change[1] is not None}

    assert shown == {(before, item.after) for item in TRANSITIONS for before in item.before}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_life_of_a_bot(bot: Bot, case: Case) -> None:
    bot.spec = {**case.given.spec, **case.spec}
    case.given.before(bot)
    bot.create()
    case.given.reach(bot)

    case.when(bot)

    with suppress(TimeoutError):
        wait_for(lambda: bot.path() == case.path)
    bot.reach(str(case.path[-1]), case.reason, SILENCE_SECONDS)
    wait_for(lambda: case.holds(bot))
    assert bot.path() == case.path


def bring(bot: Bot, state: Given, **spec: Any) -> None:
    """Make a bot and bring it to this state."""
    bot.spec = spec
    bot.create()
    state.reach(bot)


def test_a_finished_bot_asks_for_no_gpu_whatever_is_deleted(bot: Bot) -> None:
    bring(bot, given.SUCCEEDED, ttlSecondsAfterFinished=1)
    wait_for(lambda: not bot.jobs())
    before = bot.status

    bot.edit(maxAttempts=5)
    bot.reach("Succeeded")
    time.sleep(2)

    assert bot.jobs() == []
    assert bot.status["run"] == before["run"]


def test_a_bot_whose_files_go_with_it_is_gone_after_its_purge(bot: Bot, api: Api, namespace: str) -> None:
    bring(bot, given.TRAINING, **PURGE)
    assert api.bot(namespace)["metadata"]["finalizers"] == ["tweetbot.dev/purge"]

    bot.delete()
    bot.reach("Deleting")
    assert bot.exists()
    bot.end("purge-1", BotOutcome(purged=Purged(versions=3, uploads=1)))

    wait_for(lambda: not bot.exists())
    events = {event["reason"]: event["message"] for event in api.list(namespace, "events")}
    assert events["Purged"].startswith("deleted 3 versions and 1 unfinished uploads below s3://models/")
    wait_for(lambda: not any(api.list(namespace, kind) for kind in ("jobs", "pods")))


def test_a_bot_whose_purge_fails_is_let_go_by_an_annotation(bot: Bot, api: Api, namespace: str) -> None:
    bring(bot, given.PREPARING, **PURGE)
    bot.delete()
    bot.reach("Deleting")
    bot.end("purge-1", make_failure("StorageAccessDenied", 64), exit_code=64)
    bot.reach("Deleting", "PurgeFailed")

    annotation = {"metadata": {"annotations": {"tweetbot.dev/skip-purge": "true"}}}
    api.call("PATCH", f"{bots_path(namespace)}/ann", annotation, "application/merge-patch+json")

    wait_for(lambda: not bot.exists())


def test_the_output_cannot_move_away_from_what_is_to_be_deleted(bot: Bot) -> None:
    bring(bot, given.NEW, suspend=True, **PURGE)

    with pytest.raises(ApiError, match="cannot change under deletionPolicy Delete"):
        bot.edit(output={"s3": {"bucket": "elsewhere"}})

    bot.edit(output={"deletionPolicy": "Retain", "s3": {"bucket": "elsewhere"}})
