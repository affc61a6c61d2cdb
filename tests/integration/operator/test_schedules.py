"""Every order of events from every point of a run: two operators at once, crashes, lost replies, misfortunes.

From each point of a calm life all schedules of DEPTH events are tried; states that were met before are not expanded
again, but every schedule through them counts. On each state: at most one pod of the run lives, an end stays an end, the
conditions are well-formed. From a sample of the states, everybody goes on fairly: the end is always the same.
"""

from collections import Counter

import pytest

from tests.integration.operator.two_operators import ACTIONS, State, TwoOperators
from tests.unit.operator.kstatus import assert_obeys_kstatus
from tweetbot_operator.life_cycle import is_allowed

pytestmark = pytest.mark.integration
DEPTH = 3
SAMPLE = 25
"""Of so many states, one is lived to its end."""


class Exploration:
    def __init__(self) -> None:
        self.world = TwoOperators()
        self.states: dict[str, State] = {}
        self.successors: dict[str, list[str]] = {}

    def add(self) -> str:
        name = self.world.fingerprint()
        if name not in self.states:
            self.states[name] = self.world.take_down()
        return name

    def calm_life(self) -> list[str]:
        """Return the points of a life in which nothing goes wrong."""
        world, points = self.world, [self.add()]
        while not world.has_ended:
            before = len(points)
            for action in ("A hears", "A works", "pods start", "A hears", "A works", "pods succeed"):
                world.do(ACTIONS[action])
                points.append(self.add())
            assert len(points) < 60 + before
        return list(dict.fromkeys(points))

    def expand(self, name: str) -> list[str]:
        if name not in self.successors:
            self.successors[name] = [self.step(name, action) for action in ACTIONS]
        return self.successors[name]

    def step(self, name: str, action: str) -> str:
        world = self.world
        world.put_up(self.states[name])
        before, had_ended, num_jobs = world.bot.status, world.has_ended, len(world.jobs_created)
        world.do(ACTIONS[action])
        after = world.bot.status
        live = Counter(
            label
            for pod in world.live_pods
            for label in pod["metadata"]["labels"]
            if label.startswith("run.tweetbot.dev/")
        )
        assert max(live.values(), default=0) <= 1, (action, live)
        assert is_allowed(before.phase, after.phase), (action, before.phase, after.phase)
        if had_ended:
            assert world.has_ended, action
            assert len(world.jobs_created) == num_jobs, action
        if after.run is not None:
            assert_obeys_kstatus(after, after.observed_generation)
        return self.add()


def test_every_schedule_ends_alike_with_one_live_pod_at_most() -> None:
    exploration = Exploration()
    schedules = Counter(exploration.calm_life())
    total = 0
    for _ in range(DEPTH):
        following: Counter[str] = Counter()
        for name, count in schedules.items():
            for successor in exploration.expand(name):
                following[successor] += count
        schedules, total = following, sum(following.values())
    ends = set()
    for name in sorted(exploration.states)[::SAMPLE]:
        world = exploration.world
        world.put_up(exploration.states[name])
        world.do(ACTIONS["resumed"])
        world.end_well()
        outputs = world.bot.status.outputs
        ends.add((world.bot.status.phase, outputs.manifest_sha256 if outputs else None))
        writes = len(world.cluster.writes)
        for replica in world.replicas:
            replica.deliver()
            replica.reconcile()
        assert len(world.cluster.writes) == writes

    print(f"{total} schedules of {DEPTH} events, {len(exploration.states)} states, ends: {ends}")
    assert ends == {("Succeeded", "a" * 64)}
    assert total >= 100_000
