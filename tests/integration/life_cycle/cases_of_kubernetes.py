"""What happens around a bot: its operator dies, nodes are drained, Jobs and status are deleted, queues stop Jobs."""

from tests.integration.life_cycle import given, when
from tests.integration.life_cycle.bot import Bot
from tests.integration.life_cycle.case import Case
from tests.unit.operator.factories import make_outcome

AN_OPERATOR_THAT_DIES = {
    "a Job that was made and ended while nobody looked is the end": Case(
        given.LOST, when.succeed_unseen, "Succeeded", holds=lambda bot: bot.jobs() == ["prepare-1"]
    ),
    "a resumed Job that was made and ended while nobody looked is the end": Case(
        given.SUSPENDED,
        when.in_turn(when.resume_and_lose_the_operator, when.succeed_unseen),
        "Succeeded",
        holds=lambda bot: bot.jobs() == ["prepare-1", "train-2"],
        spec=given.ALONE,
    ),
}

STOPPED_FROM_OUTSIDE = {
    "a drain does not eat the only attempt": Case(
        given.TRAINING,
        when.drain("train-1"),
        "Pending > Training",
        holds=lambda bot: (bot.run["attempt"], bot.run["failedAttempts"], bot.run["preemptions"]) == (2, 0, 1),
        spec={"maxAttempts": 1},
    ),
    "more drains than the platform allows are the end": Case(
        given.TRAINING,
        when.in_turn(when.drain("train-1"), when.drain("train-2")),
        "Pending > Training > Failed",
        "TooManyPreemptions",
        lambda bot: (bot.run["failedAttempts"], bot.run["preemptions"]) == (0, 2),
    ),
    "a Job deleted by hand does not eat the only attempt": Case(
        given.TRAINING,
        Bot.delete_jobs,
        "Pending > Training",
        holds=lambda bot: (bot.run["attempt"], bot.run["preemptions"]) == (2, 1),
        spec={"maxAttempts": 1},
    ),
    "the status of a run at work is cleared": Case(
        given.TRAINING,
        Bot.clear_status,
        "(none) > Pending > Training",
        holds=lambda bot: bot.run["attempt"] == 1 and bot.jobs() == ["prepare-1", "train-1"],
    ),
    "the status of an ended run is cleared, its Jobs still there": Case(
        given.SUCCEEDED,
        when.in_turn(Bot.clear_status, when.find_manifest("prepare-2")),
        "(none) > Pending > Preparing > Succeeded",
        holds=lambda bot: bot.jobs() == ["prepare-1", "prepare-2", "train-1"] and bot.run["gpuSeconds"] == 0,
    ),
    "the status of an ended run is cleared, its Jobs gone": Case(
        given.SUCCEEDED,
        when.in_turn(when.lose_jobs_and_status, when.find_manifest("prepare-1")),
        "(none) > Pending > Preparing > Succeeded",
        holds=lambda bot: bot.jobs() == ["prepare-1"] and bot.status["outputs"]["manifestSHA256"] == "a" * 64,
    ),
}

QUEUE = {
    "a Job that its queue admits is at work": Case(given.QUEUED, when.let_queue(stop=False), "Training"),
    "a Job that its queue stops waits again, the same attempt": Case(
        given.ADMITTED,
        when.let_queue(stop=True),
        "Queued",
        "Queued",
        lambda bot: (bot.run["attempt"], bot.run["failedAttempts"], bot.run["preemptions"]) == (1, 0, 1),
        {"maxAttempts": 1},
    ),
    "a pod that has stored its model while its queue stopped it has succeeded": Case(
        given.ADMITTED,
        when.in_turn(
            when.keep_pod("train-1"),
            when.let_queue(stop=True),
            lambda bot: bot.reach("Queued"),
            when.end("train-1", make_outcome("train")),
        ),
        "Queued > Succeeded",
    ),
    "a Job that is deleted while it waits in its queue is made again": Case(
        given.QUEUED, Bot.delete_jobs, "Pending > Queued", holds=lambda bot: bot.run["attempt"] == 2
    ),
}

CASES = {**AN_OPERATOR_THAT_DIES, **STOPPED_FROM_OUTSIDE, **QUEUE}
