"""Every order of events around edits: of what makes another run, of what does not, there and back again."""

from typing import Any

import pytest

from tests.integration.operator.exploration import Exploration
from tests.integration.operator.misfortunes import LAP, MISFORTUNES, START, STEPS, TROUBLE, Action, once, overtake
from tests.integration.operator.two_operators import Bots, TwoOperators
from tweetbot_api.names import run_label

pytestmark = pytest.mark.integration


class EditedBot(TwoOperators):
    """A bot whose user has second thoughts."""

    def check(self, before: Bots) -> None:
        super().check(before)
        wanted = {run_label(bots["ann"].run_id) for bots in (before, self.bots)}
        for job in self.jobs_created:
            assert wanted & job["metadata"]["labels"].keys(), "a run that nobody asks for gets a Job"


def edit(**spec: Any) -> Action:
    return lambda world: world.edit(**spec)


EDITS: dict[str, Action] = {
    "other epochs": once("epochs", edit(training={"epochs": 9})),
    "epochs as before": edit(training={}),
    "run again": once("runID", edit(runID="again")),
    "more attempts": once("attempts", edit(maxAttempts=5)),
    "A works, edited meanwhile": once("race", overtake(edit(training={"epochs": 9}))),
}
LIFE = (*LAP, *START, "other epochs", "A hears", "A works", "A works", "what was stopped goes", "A hears")
BACK = ("other epochs", "A hears", "A works", "A works", "epochs as before", "A hears", "A works", "A works", "A works")
"""Second thoughts that come before what was stopped has gone."""
BACK_FROM_TRAINING = (*LAP, *START, *BACK)
BACK_WITHOUT_JOB = (*START, "pods succeed", "Jobs are deleted", *BACK)


def test_the_run_that_the_spec_asks_for_is_what_is_left_in_the_end() -> None:
    actions = STEPS | TROUBLE | EDITS | {"Jobs are deleted": MISFORTUNES["Jobs are deleted"]}
    exploration = Exploration(EditedBot(), actions)
    exploration.explore(LIFE, depth=3)
    exploration.explore(BACK_FROM_TRAINING, depth=2)
    exploration.explore(BACK_WITHOUT_JOB, depth=2)
    exploration.finish()
    assert exploration.ends == {(("ann", "Succeeded", True),)}
