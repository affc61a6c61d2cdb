"""Every order of events around a queue, which admits a bot's train Job, stops it and admits it again."""

import pytest

from tests.integration.operator import kubernetes_model
from tests.integration.operator.exploration import Exploration
from tests.integration.operator.misfortunes import LAP, MISFORTUNES, START, STEPS, SUSPENSION, TROUBLE, Action
from tests.integration.operator.two_operators import Bots, TwoOperators

pytestmark = pytest.mark.integration


class QueuedBot(TwoOperators):
    """A bot whose train Job waits for a queue."""

    spec = {"resources": {"queueName": "bots", "gpus": 1}}

    def hold_back(self, *, is_held_back: bool) -> None:
        kubernetes_model.hold_back(self.cluster, self.now, is_held_back=is_held_back)

    def admit(self) -> None:
        self.hold_back(is_held_back=False)

    def stop(self) -> None:
        """Let the queue stop what it has admitted, twice at most."""
        times = self.spent.get("stop", 0)
        jobs = [job for job in self.cluster.all("Job") if job["spec"].get("suspend") is False]
        if times < 2 and jobs:
            self.spent["stop"] = times + 1
            self.hold_back(is_held_back=True)

    def help_on(self) -> None:
        super().help_on()
        self.admit()

    def check(self, before: Bots) -> None:
        super().check(before)
        run = self.bots["ann"].status.run
        if run is not None:
            stops = sum(self.spent.get(name, 0) for name in ("stop", "Interrupted", "delete"))
            assert run.failed_attempts <= self.spent.get("StorageUnavailable", 0), "a stop is counted as a failure"
            assert run.preemptions <= stops, "a stop is counted twice"


QUEUE: dict[str, Action] = {"the queue admits": QueuedBot.admit, "the queue stops": QueuedBot.stop}
ADMITTED = (*START, "the queue admits", "Jobs go on", "A hears", "A works")
STOPPED = ("the queue stops", "A hears", "what was stopped goes", "A hears", "A works")
AGAIN = ("the queue admits", "Jobs go on", "A hears", "A works", "pods succeed", "Jobs go on", "A hears", "A works")
FAILED = ("the queue stops", "pods fail", "A hears", "A works", "Jobs go on", "A hears", "A works")


def test_a_bot_outlives_whatever_its_queue_does_with_no_failure_counted() -> None:
    exploration = Exploration(QueuedBot(), STEPS | TROUBLE | QUEUE | MISFORTUNES | SUSPENSION)
    exploration.explore((*ADMITTED, *STOPPED, *AGAIN), depth=3, past=LAP)
    exploration.explore((*ADMITTED, *FAILED), depth=2, past=LAP)
    exploration.finish()
    assert exploration.ends == {(("ann", "Succeeded", True),)}
