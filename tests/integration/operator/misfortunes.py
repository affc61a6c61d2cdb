"""What may happen at any time, good and bad: each is a small step of one operator, of Kubernetes or of a user."""

from collections.abc import Callable
from typing import Any

from tests.integration.operator.model_cluster import read_key
from tests.integration.operator.two_operators import TwoOperators
from tests.unit.operator.factories import make_failure

Action = Callable[[Any], object]


def once(name: str, action: Action) -> Action:
    """Let a misfortune happen at most once in a schedule."""

    def happen(world: TwoOperators) -> None:
        if name not in world.spent:
            world.spent[name] = 1
            action(world)

    return happen


def crash(*, commits: bool, at: int = 1) -> Action:
    """Let the first operator die of one of its next writes."""

    def happen(world: TwoOperators) -> None:
        world.cluster.crash_at, world.cluster.commits_before_crash = len(world.cluster.writes) + at, commits
        world.work(0)
        world.cluster.crash_at = None

    return once("crash", happen)


def overtake(action: Action, at: int = 1) -> Action:
    """Let something happen after the first operator has decided, and before one of its next writes arrives."""

    def happen(world: TwoOperators) -> None:
        connection = world.replicas[0].connection
        connection.meanwhile, connection.free_writes = lambda: world.do(action), at - 1
        world.work(0)
        connection.meanwhile = None

    return happen


def lose_reply(world: TwoOperators) -> None:
    world.cluster.loses_reply = True
    world.work(0)
    world.cluster.loses_reply = False


def delete_jobs(world: TwoOperators) -> None:
    """Delete by hand every Job that stands in status; its pods stop later, as they have time to save.

    Before a first prepare Job stands there, an operator that has not heard of it would make it again. It is made
    without a question to the cluster, for nobody is so quick, and no GPU is at stake.
    """
    recorded = {bot.status.run.job_uid for bot in world.bots.values() if bot.status.run}
    for job in world.cluster.all("Job"):
        if job["metadata"]["uid"] in recorded:
            world.cluster.remove("Job", read_key(job))


def fail(reason: str, exit_code: int, **how: Any) -> Action:
    def happen(world: TwoOperators) -> None:
        world.end_pods(exit_code, dict.fromkeys(world.names, make_failure(reason)), **how)

    return once(reason, happen)


STEPS: dict[str, Action] = {
    "A works": lambda world: world.work(0),
    "B works": lambda world: world.work(1),
    "A hears": lambda world: world.replicas[0].hear(),
    "B hears": lambda world: world.replicas[1].hear(),
    "Jobs go on": TwoOperators.run_jobs,
    "pods succeed": lambda world: world.end_pods(),
    "what was stopped goes": TwoOperators.collect_garbage,
}
"""What a life is made of in which nothing goes wrong."""

TROUBLE: dict[str, Action] = {
    "A hears of Jobs only": lambda world: world.replicas[0].hear("Job"),
    "B hears of bots only": lambda world: world.replicas[1].hear("TweetBot"),
    "A dies after its write": crash(commits=True),
    "A dies before its write": crash(commits=False),
    "A's reply is lost": once("reply", lose_reply),
    "A works, B is quicker": overtake(lambda world: world.work(1)),
}
"""What makes operators err."""

MISFORTUNES: dict[str, Action] = {
    "pods fail": fail("StorageUnavailable", 171),
    "pods are drained": fail("Interrupted", 170, is_drained=True),
    "Jobs are deleted": once("delete", delete_jobs),
    "time passes": once("time", lambda world: world.wait(11)),
}
"""What ends attempts."""

SUSPENSION: dict[str, Action] = {
    "suspended": once("suspend", lambda world: world.edit(suspend=True)),
    "resumed": lambda world: world.edit(suspend=False),
}

START = ("A works", "A works", "A hears", "A works", "Jobs go on", "A hears", "A works")
"""An attempt is stored, its Job is made and heard of, its manifest is made, its pod runs and is heard of."""
LAP = (*START, "pods succeed", "Jobs go on", "A hears")
"""The life of one attempt, if nothing goes wrong."""
