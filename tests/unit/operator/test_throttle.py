"""How fast the apiserver is asked, and that all wait when it asks for patience."""

import pytest

from tweetbot_operator.throttle import LONGEST_PAUSE_SECONDS, Throttle


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def make_throttle(time: Time, rate: float = 10, burst: int = 5) -> Throttle:
    return Throttle(rate, burst, uptime=lambda: time.now, sleep=time.sleep)


def test_a_burst_passes_at_once_and_the_rest_at_the_rate(time: Time) -> None:
    throttle = make_throttle(time)

    assert [throttle.wait() for _ in range(5)] == [0] * 5
    assert time.now == 0
    told = sum(throttle.wait() for _ in range(20))

    assert time.now == told == pytest.approx(2)


def test_idle_time_saves_up_no_more_than_a_burst(time: Time) -> None:
    throttle = make_throttle(time)
    time.now = 1000

    for _ in range(6):
        throttle.wait()

    assert time.now == pytest.approx(1000.1)


def test_all_wait_for_as_long_as_the_apiserver_asks(time: Time) -> None:
    throttle = make_throttle(time)
    throttle.pause(7)

    throttle.wait()
    assert time.now == pytest.approx(7.1)
    throttle.wait()
    assert time.now == pytest.approx(7.2)


def test_no_answer_makes_the_operator_wait_for_hours(time: Time) -> None:
    throttle = make_throttle(time)
    throttle.pause(1e9)

    throttle.wait()

    assert time.now <= LONGEST_PAUSE_SECONDS + 1
