"""Every order of events from every point of a life: states that were met before are not expanded again, but count.

From each point of a life all schedules of some events are tried, and every step is checked. From a sample of the
states that were met, and after long schedules that chance makes, everybody goes on fairly: the end is always the same.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.integration.operator.misfortunes import Action
from tests.integration.operator.two_operators import State, TwoOperators

_FEWEST_SCHEDULES = 100_000
_SAMPLE = 100
"""Of so many states, one is lived to its end."""


class Exploration:
    """The states of a world that its actions lead to."""

    def __init__(self, world: TwoOperators, actions: Mapping[str, Action]) -> None:
        self.world, self.actions = world, actions
        self.num_schedules = 0
        self.ends: set[object] = set()
        """How a life can end."""
        self._origins: dict[str, tuple[str, str] | None] = {}
        """All states that were met: for each, the one that it was first come to from, and by which action."""
        self._kept: dict[str, State] = {}
        self._sample: list[str] = []
        self._successors: dict[str, list[str]] = {}
        self._points: list[str] = []
        self._birth = self._meet(None)

    def explore(self, life: Sequence[str], depth: int, past: Sequence[str] = ()) -> None:
        """Try all schedules of so many events from each point of a life, but for those of its past."""
        points = [self._birth]
        for action in (*past, *life):
            points.append(self._step(points[-1], action))
        self._points += points[len(past) :]
        self._sample += points[len(past) :]
        self._successors.clear()
        schedules = Counter(dict.fromkeys(points[len(past) :], 1))
        for left in reversed(range(depth)):
            following: Counter[str] = Counter()
            for name, count in schedules.items():
                for successor in self._expand(name, is_last=left == 0):
                    following[successor] += count
            schedules = following
        self.num_schedules += schedules.total()

    def finish(self) -> None:
        """Live a sample of the states to their end, and long schedules too."""
        for name in dict.fromkeys(self._sample):
            self.world.put_up(self._kept[name])
            with _telling(lambda name=name: self._tell_past(name)):
                self._end()
        self._wander(schedules=200, length=40)
        print(f"{self.num_schedules} schedules, {len(self._origins)} states")
        assert self.num_schedules >= _FEWEST_SCHEDULES

    def _wander(self, schedules: int, length: int) -> None:
        """Live through so many long schedules from points of these lives, made by chance but always the same."""
        chance = random.Random(1)
        for _ in range(schedules):
            begin = chance.choice(self._points)
            self.world.put_up(self._kept[begin])
            past = self._tell_past(begin)
            with _telling(lambda past=past: past):
                for action in chance.choices(list(self.actions), k=length):
                    past.append(action)
                    self._act(action)
                self._end()

    def _expand(self, name: str, *, is_last: bool) -> list[str]:
        if name not in self._successors:
            self._successors[name] = [self._step(name, action, is_last=is_last) for action in self.actions]
        return self._successors[name]

    def _step(self, name: str, action: str, *, is_last: bool = False) -> str:
        self.world.put_up(self._kept[name])
        with _telling(lambda: [*self._tell_past(name), action]):
            self._act(action)
        return self._meet((name, action), is_last=is_last)

    def _meet(self, origin: tuple[str, str] | None, *, is_last: bool = False) -> str:
        """Take note of the world's state, and keep it if others are to follow it or if it is one of the sample."""
        name = self.world.fingerprint()
        if name not in self._origins:
            is_sampled = len(self._origins) % _SAMPLE == 0
            self._origins[name] = origin
            if is_sampled:
                self._sample.append(name)
                self._kept[name] = self.world.take_down()
        if not is_last and name not in self._kept:
            self._kept[name] = self.world.take_down()
        return name

    def _act(self, action: str) -> None:
        before = self.world.bots
        self.world.cluster.forget_what_was_done()
        self.world.do(self.actions[action])
        self.world.check(before)

    def _end(self) -> None:
        self.world.end_well()
        self.ends.add(self.world.describe_end())

    def _tell_past(self, name: str) -> list[str]:
        """Return the actions that led to a state."""
        past: list[str] = []
        while (origin := self._origins[name]) is not None:
            name, action = origin
            past.insert(0, action)
        return past


@contextmanager
def _telling(past: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Let whatever goes wrong tell what was done before."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{', '.join(past())}: {error!r}") from error
