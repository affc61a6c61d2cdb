"""What users do: they suspend, resume, edit and delete a bot, and have it trained again."""

from tests.integration.life_cycle import given, when
from tests.integration.life_cycle.bot import Bot
from tests.integration.life_cycle.case import Case
from tweetbot_api.messages import BotOutcome, Unchanged

YEARLY = {"schedule": {"cron": "0 0 1 1 *", "minNewPosts": 50}}
PURGE = {"output": {"deletionPolicy": "Delete"}}

SUSPEND = {
    "a run is suspended while it is prepared": Case(
        given.PREPARING, when.edit(suspend=True), "Suspended", "Suspended", lambda bot: bot.jobs() == []
    ),
    "a run is suspended while it is trained": Case(
        given.TRAINING,
        when.edit(suspend=True),
        "Suspended",
        "Suspended",
        lambda bot: bot.jobs() == ["prepare-1"] and not bot.run.get("jobUID"),
    ),
    "a run is suspended while its queue holds it back": Case(
        given.QUEUED, when.edit(suspend=True), "Suspended", "Suspended", lambda bot: bot.jobs() == ["prepare-1"]
    ),
    "a suspended run is resumed as a new attempt of the same run": Case(
        given.SUSPENDED,
        when.edit(suspend=False),
        "Pending > Training",
        holds=lambda bot: (bot.run["attempt"], bot.run["failedAttempts"], bot.run["preemptions"]) == (2, 0, 0),
        spec={"maxAttempts": 1},
    ),
    "a suspended run that waits for no company is resumed at once": Case(
        given.SUSPENDED,
        when.edit(suspend=False),
        "Training",
        holds=lambda bot: bot.run["attempt"] == 2,
        spec=given.ALONE,
    ),
    "a run that was suspended while it was prepared is resumed there, in company": Case(
        given.SUSPENDED_FROM_PREPARING,
        when.edit_beside_ben(suspend=False),
        "Preparing",
        holds=lambda bot: bot.run["attempt"] == 2,
    ),
    "a resumed run has its place in the queue": Case(
        given.SUSPENDED_FROM_QUEUE,
        when.edit(suspend=False),
        "Queued",
        holds=lambda bot: bot.run["attempt"] == 2,
        spec={"resources": {"gpus": 2, "queueName": "bots"}},
    ),
    "a run that is resumed while its pod still stops waits for that": Case(
        given.SUSPENDING,
        when.in_turn(
            when.edit(suspend=False),
            lambda bot: bot.reach("Pending", "Retrying"),
            Bot.let_pods_go,
        ),
        "Pending > Training",
        holds=lambda bot: bot.run["attempt"] == 2,
    ),
}

EDIT = {
    "an edit that shapes the model makes another run": Case(
        given.TRAINING,
        when.edit(training={"epochs": 2}),
        "Pending > Preparing",
        holds=lambda bot: bot.run["number"] == 2 and bot.jobs() == ["prepare-1"],
    ),
    "an edit that does not shape it leaves the run alone": Case(
        given.TRAINING,
        when.edit(maxAttempts=9, ttlSecondsAfterFinished=5),
        "",
        holds=lambda bot: bot.status["observedGeneration"] == 2 and bot.run["attempt"] == 1,
    ),
    "a failed run is run again when runID changes": Case(
        given.FAILED, when.edit(runID="again"), "Pending > Preparing", holds=lambda bot: bot.run["number"] == 2
    ),
    "a finished run is run again when runID changes": Case(
        given.SUCCEEDED, when.edit(runID="again"), "Pending > Preparing", holds=lambda bot: bot.run["number"] == 2
    ),
    "another run after a finished one may have company": Case(
        given.SUCCEEDED, when.edit_beside_ben(runID="again"), "Preparing"
    ),
    "another run after a failed one may have company": Case(
        given.FAILED, when.edit_beside_ben(runID="again"), "Preparing"
    ),
    "another run instead of one at work may have company": Case(
        given.TRAINING, when.edit_beside_ben(runID="again"), "Preparing"
    ),
    "another run instead of a queued one may have company": Case(
        given.QUEUED, when.edit_beside_ben(runID="again"), "Preparing"
    ),
    "an edit that cannot be run ends a run at work": Case(
        given.TRAINING, when.edit(**given.BAD_SOURCE), "Failed", "InvalidSpec", lambda bot: bot.jobs() == []
    ),
    "an edit that cannot be run ends a queued run": Case(
        given.QUEUED, when.edit(**given.BAD_SOURCE), "Failed", "InvalidSpec", lambda bot: bot.jobs() == []
    ),
    "an edit that cannot be run is told of a suspended run": Case(
        given.SUSPENDED, when.edit(**given.BAD_SOURCE), "Failed", "InvalidSpec"
    ),
    "an edit that cannot be run is told of a run whose Job is refused": Case(
        given.REFUSED, when.edit(**given.BAD_SOURCE), "Failed", "InvalidSpec"
    ),
    "back to the spec of a finished run there is nothing to do": Case(
        given.SUCCEEDED,
        when.in_turn(when.edit(**given.BAD_SOURCE), given.STALLED.reach, when.edit(**given.GOOD_SOURCE)),
        "Failed > Succeeded",
        holds=lambda bot: bot.run["number"] == 1,
    ),
}

SCHEDULE = {
    "the schedule starts another run": Case(
        given.SUCCEEDED,
        when.let_time_pass,
        "Pending > Preparing",
        holds=lambda bot: (bot.run["number"], "scheduledTime" in bot.run, "outputs" in bot.status) == (2, True, True),
        spec=YEARLY,
    ),
    "a scheduled run that finds too few new posts keeps the former model": Case(
        given.SUCCEEDED,
        when.in_turn(when.let_time_pass, when.end("prepare-1", BotOutcome(unchanged=Unchanged(new_posts=7)))),
        "Pending > Preparing > Succeeded",
        "Unchanged",
        lambda bot: bot.run["gpuSeconds"] == 0 and bot.status["outputs"]["manifestSHA256"] == "a" * 64,
        YEARLY,
    ),
}

DELETE = {
    "a bot is deleted before it was begun": Case(given.UNSEEN, when.delete_unseen, "Deleting", spec=PURGE),
    **{
        f"a bot is deleted when it {what}": Case(state, Bot.delete, "Deleting", spec=PURGE)
        for what, state in {
            "waits for room": given.REFUSED,
            "is prepared": given.PREPARING,
            "is held by its queue": given.QUEUED,
            "is trained": given.TRAINING,
            "is suspended": given.RESTING,
            "has succeeded": given.SUCCEEDED,
            "has failed": given.FAILED,
        }.items()
    },
}

CASES = {**SUSPEND, **EDIT, **SCHEDULE, **DELETE}
