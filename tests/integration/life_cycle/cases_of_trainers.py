"""What trainers do: they prepare, train, fail, take too long, are not heard of."""

from tests.integration.life_cycle import given, when
from tests.integration.life_cycle.bot import Bot
from tests.integration.life_cycle.case import Case
from tests.unit.operator.factories import make_failure, make_outcome

BOTH_PREPARED = [make_outcome("prepare")] * 2
"""Of `ann` and of `ben`."""

COMPANY = {
    "bots alike are prepared and trained together": Case(
        given.NEW_BESIDE_BEN,
        when.end("prepare-1", *BOTH_PREPARED),
        "Preparing > Training",
        holds=lambda bot: len(bot.jobs()) == 2 and bot.run["jobName"].startswith("tweetbots-2-"),
    ),
    "a queue holds the train Job of bots that share it": Case(
        given.PREPARING_WITH_BEN, when.end("prepare-1", *BOTH_PREPARED), "Queued", "Queued", spec=given.IN_QUEUE
    ),
}

START = {
    "a new bot is prepared": Case(given.NEW, given.PREPARING.reach, "Pending > Preparing", "Unschedulable"),
    "a bot made suspended waits": Case(
        given.NEW, when.nothing, "Pending > Suspended", "Suspended", lambda bot: bot.jobs() == [], {"suspend": True}
    ),
    "a spec that cannot be run is stalled": Case(
        given.NEW, when.nothing, "Failed", "InvalidSpec", spec=given.BAD_SOURCE
    ),
    "a spec that is mended is run": Case(given.STALLED, when.edit(**given.GOOD_SOURCE), "Pending > Preparing"),
    "a prepared bot is trained": Case(
        given.PREPARING, when.end("prepare-1", make_outcome("prepare")), "Pending > Training"
    ),
}

END = {
    "a trained bot has succeeded": Case(
        given.TRAINING, when.end("train-1", make_outcome("train")), "Succeeded", "Succeeded"
    ),
    "a manifest that prepare finds is the end": Case(
        given.PREPARING,
        when.find_manifest("prepare-1"),
        "Succeeded",
        holds=lambda bot: bot.jobs() == ["prepare-1"] and bot.run["gpuSeconds"] == 0,
    ),
    "a failure for good is the end": Case(
        given.PREPARING,
        when.end("prepare-1", make_failure("TooLittleText", 65), exit_code=65),
        "Failed",
        "TooLittleText",
        lambda bot: bot.jobs() == ["prepare-1"],
    ),
    "a failure that may pass is tried again": Case(
        given.TRAINING,
        when.end("train-1", make_failure("StorageUnavailable", 171), exit_code=171),
        "Pending > Training",
        holds=lambda bot: bot.run["attempt"] == 2 and bot.run["failedAttempts"] == 1,
    ),
    "the last attempt is the end": Case(
        given.TRAINING,
        when.end("train-1", exit_code=1),
        "Failed",
        "JobFailed",
        lambda bot: bot.status["failure"]["exitCode"] == 1,
        {"maxAttempts": 1},
    ),
    "a run whose time is over fails and holds no pod": Case(
        given.TRAINING,
        when.nothing,
        "Failed",
        "DeadlineExceeded",
        lambda bot: bot.jobs() == ["prepare-1"],
        {"activeDeadlineSeconds": 3},
    ),
    "the Jobs of an ended run go after their time": Case(
        given.SUCCEEDED, when.nothing, "", holds=lambda bot: bot.jobs() == [], spec={"ttlSecondsAfterFinished": 2}
    ),
    "the Jobs of an ended run are deleted by hand": Case(
        given.SUCCEEDED, Bot.delete_jobs, "", holds=lambda bot: bot.jobs() == []
    ),
}

SILENCE = {
    "a trainer that is not heard of is told of, and left alone": Case(
        given.PREPARING,
        when.in_turn(when.end("prepare-1", make_outcome("prepare")), when.start_pod_long_ago("train-1")),
        "Pending > Training",
        "NoHeartbeat",
        lambda bot: bot.run["attempt"] == 1 and bot.jobs() == ["prepare-1", "train-1"],
    ),
}

CASES = {**COMPANY, **START, **END, **SILENCE}
