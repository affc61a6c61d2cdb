"""The queue's promises, by a clock that the tests turn."""

import asyncio
from dataclasses import dataclass

import pytest

from tweetbot_operator.workqueue import LONGEST_PAUSE_SECONDS, TryAgainError, WorkQueue, run_workers


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock)


def test_a_key_that_is_asked_for_twice_is_worked_on_once(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("a")

    assert (queue.take(), queue.take()) == ("a", None)


def test_a_key_is_never_worked_on_twice_at_the_same_time(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take()
    queue.add("a")
    assert queue.take() is None

    queue.done("a", None)

    assert queue.take() == "a"
    queue.done("a", None)
    assert queue.take() is None


def test_a_key_comes_back_after_the_time_that_its_work_asked_for(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    queue.take()
    queue.done("a", 10)

    assert (queue.seconds_until_next(), queue.take()) == (10, None)
    clock.now = 10
    assert queue.take() == "a"


def test_many_wishes_within_a_time_are_one_and_the_first_decides_when(queue: WorkQueue[str], clock: Clock) -> None:
    for now in range(5):
        clock.now = now / 10
        queue.add_within("a", 1)

    assert (queue.take(), queue.seconds_until_next()) == (None, pytest.approx(0.6))
    clock.now = 1
    assert (queue.take(), queue.take()) == ("a", None)


def test_a_wish_made_meanwhile_is_not_put_off_by_the_works_own(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    queue.take()
    queue.add_within("a", 1)

    queue.done("a", 60)

    assert queue.seconds_until_next() == 1
    clock.now = 1
    assert queue.take() == "a"
    queue.done("a", None)
    assert queue.take() is None


def test_a_later_wish_replaces_an_earlier_one(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    queue.add_after("a", 20)

    clock.now = 5
    assert queue.take() is None
    clock.now = 20
    assert queue.take() == "a"
    queue.done("a", None)
    clock.now = 100
    assert queue.take() is None


def test_work_in_the_meantime_takes_the_place_of_the_wish(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    queue.add("a")
    queue.take()
    queue.done("a", None)

    clock.now = 5
    assert queue.take() is None


def test_failures_pause_longer_and_longer_up_to_a_limit(queue: WorkQueue[str], clock: Clock) -> None:
    pauses = []
    for _ in range(12):
        queue.add_after("a", 0)
        queue.take()
        pauses.append(queue.fail("a"))
        clock.now += 1000

    assert pauses[:4] == [0.5, 1, 2, 4]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_success_forgets_the_failures(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    queue.take()
    queue.fail("a")
    clock.now = 1
    queue.take()
    queue.done("a", 0)
    queue.take()

    assert queue.fail("a") == 0.5


def test_an_event_during_failing_work_does_not_shorten_the_pause(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take()
    queue.add("a")
    queue.fail("a")

    assert queue.take() is None


@pytest.mark.parametrize("error", [TryAgainError("later"), RuntimeError("a bug")])
def test_a_failure_of_one_key_stops_no_other(error: Exception) -> None:
    async def run() -> list[str]:
        seen: list[str] = []
        everything = asyncio.Event()
        queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time)

        async def work(key: str) -> None:
            seen.append(key)
            if key == "bad":
                raise error
            if key == "last":
                everything.set()

        workers = asyncio.create_task(run_workers(queue, work, 2))
        for key in ("bad", "good", "last"):
            queue.add(key)
        await asyncio.wait_for(everything.wait(), 5)
        workers.cancel()
        await asyncio.gather(workers, return_exceptions=True)
        return seen

    assert sorted(asyncio.run(run())) == ["bad", "good", "last"]


def test_a_sleeping_worker_wakes_for_a_new_key() -> None:
    async def run() -> None:
        done = asyncio.Event()
        queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time)

        async def work(_: str) -> None:
            done.set()

        workers = asyncio.create_task(run_workers(queue, work, 3))
        await asyncio.sleep(0.01)
        queue.add_after("a", 0.01)
        await asyncio.wait_for(done.wait(), 2)
        workers.cancel()
        await asyncio.gather(workers, return_exceptions=True)

    asyncio.run(run())
