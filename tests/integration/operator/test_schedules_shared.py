"""Every order of events around Jobs that bots share, with two dispatchers that know nothing of each other."""

import pytest

from tests.integration.operator.exploration import Exploration
from tests.integration.operator.misfortunes import MISFORTUNES, STEPS, TROUBLE, Action, crash, once
from tests.integration.operator.model_cluster import read_key
from tests.integration.operator.two_operators import Bots, TwoOperators
from tests.unit.operator.factories import make_failure
from tweetbot_api.names import run_label
from tweetbot_operator.observed import Key

pytestmark = pytest.mark.integration
BEN = Key("default", "ben")


class SharingBots(TwoOperators):
    """Two bots that are alike."""

    names = ("ann", "ben")
    max_bots = 2

    def work(self, number: int) -> None:
        super().work(number)
        self.replicas[number].dispatch()
        self.replicas[number].make_missing_jobs()

    def look_at(self, name: str) -> None:
        self.replicas[0].look_at(Key("default", name))

    def find_too_little(self) -> None:
        """Let the pods end in which ann's posts are too few."""
        self.end_pods(65, {"ann": make_failure("TooLittleText", 65)})

    def delete_jobs(self) -> None:
        """Delete by hand the Jobs that both operators have heard of, for a person is no quicker than a watch.

        A Job whose pod has ended is left: one operator could make it again while the other goes on from its result.
        """
        at_work = {pod["metadata"]["ownerReferences"][0]["uid"] for pod in self.live_pods}
        for job in self.cluster.all("Job"):
            is_known = all(replica.store.jobs.get(read_key(job)) for replica in self.replicas)
            if is_known and job["metadata"]["uid"] in at_work:
                self.cluster.remove("Job", read_key(job))

    def delete_ben(self) -> None:
        if ("TweetBot", BEN) in self.cluster.objects:
            self.cluster.remove("TweetBot", BEN)

    def check(self, before: Bots) -> None:
        super().check(before)
        ben = self.bots.get("ben")
        if ben is not None and ben.status.run is not None:
            assert ben.status.run.preemptions <= self.spent.get("delete", 0), "a neighbour's leaving stops the others"

    def check_settled(self) -> None:
        """Fail if a pod goes on for nobody; one that some have left may go on for the others."""
        wanted = {run_label(bot.status.run.id) for bot in self.bots.values() if bot.status.run}
        for pod in self.live_pods:
            assert wanted & pod["metadata"]["labels"].keys(), "a pod works for nobody"

    def describe_end(self) -> object:
        failures = {name: bot.status.failure for name, bot in self.bots.items()}
        return tuple((name, failure.reason if failure else "stored") for name, failure in failures.items())


PARTS: dict[str, Action] = {
    "A looks at ann": lambda world: world.look_at("ann"),
    "A looks at ben": lambda world: world.look_at("ben"),
    "A dispatches": lambda world: world.replicas[0].dispatch(),
}
"""Of an operator's work: what may come between them is no more than another operator or a user can do."""
# Nobody acts between a dispatcher's last look at its bots and its Job: what guards that moment is the Lease.
ERRORS = {name: action for name, action in TROUBLE.items() if name != "A works, B is quicker"}
ERRORS["A dies after its second write"] = crash(commits=True, at=2)
MISHAPS: dict[str, Action] = {
    "ann has too few posts": once("few", SharingBots.find_too_little),
    "pods die": MISFORTUNES["pods fail"],
    "Jobs are deleted": once("delete", SharingBots.delete_jobs),
    "time passes": MISFORTUNES["time passes"],
}
LEAVING: dict[str, Action] = {
    "ann is suspended": once("suspend", lambda world: world.edit(suspend=True)),
    "ann is edited": once("edit", lambda world: world.edit(training={"epochs": 9})),
    "ben is deleted": once("leave", SharingBots.delete_ben),
}
ACTIONS = STEPS | PARTS | ERRORS | MISHAPS | LEAVING
BATCH = (
    "A looks at ann",
    "A looks at ben",
    "A dispatches",
    "Jobs go on",
    "A hears",
    "pods succeed",
    "Jobs go on",
    "A hears",
)
LIFE = (*BATCH, *BATCH, "A works")
EDITED = (*BATCH, "A looks at ann", "A looks at ben", "ann is edited", "A hears", "A dispatches")
"""A life in which a bot is another before the list of who waits is."""
LEFT = (*BATCH[:5], "ann is suspended", "A hears", "A works", "A works", "what was stopped goes", "A hears", "A works")
"""A life in which a bot leaves a Job that goes on for the other."""
ALONE = ("ben is deleted", "A hears", "B hears", "A looks at ann", "B works", "time passes")
GIVEN = (*ALONE, "B works", "B works", "A hears", "A dispatches")
"""A life in which one operator gives a bot to the Job that the other has made for it."""


def test_bots_that_share_their_jobs_end_alike_each_with_one_live_pod_at_most() -> None:
    exploration = Exploration(SharingBots(), ACTIONS)
    exploration.explore(LIFE, depth=3)
    exploration.explore(EDITED, depth=2)
    exploration.explore(LEFT, depth=2)
    exploration.explore(GIVEN, depth=2)
    exploration.finish()
    ann = {("ann", "stored"), ("ann", "TooLittleText")}
    assert exploration.ends <= {(one, *others) for one in ann for others in [(), (("ben", "stored"),)]}
