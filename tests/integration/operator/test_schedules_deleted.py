"""Every order of events around a deletion: what may still write is stopped, the files go, then the bot."""

from typing import Any

import pytest

from tests.integration.operator.exploration import Exploration
from tests.integration.operator.kubernetes_model import write_time
from tests.integration.operator.misfortunes import LAP, MISFORTUNES, START, STEPS, TROUBLE, Action, once, overtake
from tests.integration.operator.two_operators import Bots, TwoOperators
from tests.unit.operator.world import BOT
from tweetbot_api.names import ANNOTATION_SKIP_PURGE, LABEL_JOB_KIND

pytestmark = pytest.mark.integration


class DeletedBot(TwoOperators):
    """A bot that leaves its files."""

    def delete(self) -> None:
        bot = self.cluster.objects.get(("TweetBot", BOT))
        if bot is None or "deletionTimestamp" in bot["metadata"]:
            return
        if not bot["metadata"].get("finalizers"):
            self.cluster.remove("TweetBot", BOT)
            return
        generation = bot["metadata"]["generation"] + 1
        marks = {"deletionTimestamp": write_time(self.now), "generation": generation}
        self.cluster.put({**bot, "metadata": {**bot["metadata"], **marks}})

    def ask_for_another_run(self) -> None:
        """Edit the bot, which nobody does once it is being deleted."""
        if self.bots and self.bots["ann"].metadata.deletion_timestamp is None:
            self.edit(training={"epochs": 9})

    def excuse(self) -> None:
        bot = self.cluster.objects.get(("TweetBot", BOT))
        if bot is not None:
            annotations = {ANNOTATION_SKIP_PURGE: "true"}
            self.cluster.put({**bot, "metadata": {**bot["metadata"], "annotations": annotations}})

    def help_on(self) -> None:
        super().help_on()
        self.delete()

    @property
    def is_over(self) -> bool:
        return not self.bots

    def describe_end(self) -> object:
        return tuple(sorted(kind for kind, _ in self.cluster.objects))

    def check(self, before: Bots) -> None:
        super().check(before)
        if not before or before["ann"].metadata.deletion_timestamp is not None:
            kinds = {job["metadata"]["labels"][LABEL_JOB_KIND] for job in self.jobs_created}
            assert kinds <= {"purge"}, "a bot that is being deleted gets a Job"


class PurgedBot(DeletedBot):
    """A bot whose files go with it."""

    spec = {"output": {"deletionPolicy": "Delete"}}

    def end_pods(self, exit_code: int = 0, *result: Any, **how: Any) -> None:
        if "purge" in self.kinds_at_work and not exit_code:
            self.spent["purge"] = 1
        super().end_pods(exit_code, *result, **how)

    @property
    def kinds_at_work(self) -> set[str]:
        return {pod["metadata"]["labels"][LABEL_JOB_KIND] for pod in self.live_pods}

    def check(self, before: Bots) -> None:
        super().check(before)
        if before and not self.bots and before["ann"].metadata.finalizers:
            assert "purge" in self.spent or before["ann"].metadata.annotations, "the files are still there"
        if "purge" in self.kinds_at_work:
            assert self.kinds_at_work == {"purge"}, "somebody may write what is being deleted"


DELETION: dict[str, Action] = {
    "deleted": DeletedBot.delete,
    "A works, deleted meanwhile": once("race", overtake(DeletedBot.delete)),
    "other epochs": once("epochs", DeletedBot.ask_for_another_run),
    "Jobs are deleted": MISFORTUNES["Jobs are deleted"],
    "pods fail": MISFORTUNES["pods fail"],
}
GOODBYE = ("deleted", "A hears", "A works", "what was stopped goes", "A hears", *LAP, "A works")
UNHEARD = ("A works", "A works", "A works", "deleted", "B hears of bots only", "B works", "B works")
"""A life whose first Job only one operator knows when the other is told to delete the files."""


def test_nothing_is_left_of_a_bot_that_leaves_its_files() -> None:
    exploration = Exploration(DeletedBot(), STEPS | TROUBLE | DELETION)
    exploration.explore((*LAP, *LAP, "A works"), depth=3)
    exploration.finish()
    assert exploration.ends == {()}


def test_a_bot_whose_files_go_with_it_goes_after_them() -> None:
    exploration = Exploration(PurgedBot(), STEPS | TROUBLE | DELETION | {"excused": DeletedBot.excuse})
    exploration.explore((*LAP, *START, *GOODBYE), depth=3, past=["A works"])
    exploration.explore(UNHEARD, depth=2)
    exploration.finish()
    assert exploration.ends == {()}
