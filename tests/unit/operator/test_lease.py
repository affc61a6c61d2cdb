"""Who acts: at most one replica at any time, whatever fails and however long a request takes."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.factories import NOW
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.test_metrics import read
from tweetbot_operator.api_paths import collection_path, is_fenced
from tweetbot_operator.cluster import REQUEST_SECONDS, TransientError
from tweetbot_operator.lease import ACT_SECONDS, LEASE_SECONDS, Lease
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key

KEY = Key("system", "tweetbot-operator")


@dataclass
class Replica:
    """A replica with a clock of its own, which may be anything but must not run faster or slower."""

    cluster: FakeCluster
    name: str
    offset: float
    time: list[float]
    is_cut_off: bool = False
    lease: Lease = field(init=False)

    def __post_init__(self) -> None:
        self.lease = Lease(self, KEY, self.name, clock=lambda: NOW, uptime=lambda: self.time[0] + self.offset)

    def __getattr__(self, verb: str) -> object:
        if self.is_cut_off:
            raise TransientError("no route")
        return getattr(self.cluster, verb)


def make_replicas(*offsets: float) -> tuple[list[Replica], list[float]]:
    cluster, time = FakeCluster(), [0.0]
    return [Replica(cluster, f"replica-{number}", offset, time) for number, offset in enumerate(offsets)], time


def test_the_first_to_ask_acts_and_the_other_stands_by() -> None:
    (one, two), _ = make_replicas(0, 1000)

    assert (one.lease.try_once(), two.lease.try_once()) == (True, False)
    assert (one.lease.may_act(), two.lease.may_act()) == (True, False)


def test_each_replica_tells_whether_it_acts() -> None:
    (one,), time = make_replicas(0)
    metrics = Metrics("test")
    metrics.watch_acting(one.lease.may_act)

    assert read(metrics, "tweetbot_acting") == 0
    one.lease.try_once()
    assert read(metrics, "tweetbot_acting") == 1
    time[0] = ACT_SECONDS
    assert read(metrics, "tweetbot_acting") == 0


def test_a_standby_takes_over_from_a_silent_holder_after_the_leases_time_by_its_own_clock() -> None:
    (one, two), time = make_replicas(0, 5000)
    one.lease.try_once()
    two.lease.try_once()

    time[0] = LEASE_SECONDS - 0.1
    assert not two.lease.try_once()
    time[0] = LEASE_SECONDS
    assert two.lease.try_once()

    assert not one.lease.may_act()
    assert not one.lease.try_once()


def test_a_released_lease_is_taken_soon() -> None:
    (one, two), time = make_replicas(0, 0)
    one.lease.try_once()
    one.lease.release()

    assert not one.lease.may_act()
    time[0] = 1
    assert two.lease.try_once()


def test_a_holder_that_cannot_renew_stops_before_another_may_act() -> None:
    (one,), time = make_replicas(0)
    one.lease.try_once()
    one.is_cut_off = True

    time[0] = ACT_SECONDS - 0.1
    assert (one.lease.try_once(), one.lease.may_act()) == (False, True)
    time[0] = ACT_SECONDS
    assert not one.lease.may_act()
    assert ACT_SECONDS + REQUEST_SECONDS < LEASE_SECONDS


@pytest.mark.parametrize(
    ("method", "kind", "namespace", "want"),
    [
        ("GET", "TweetBot", "team", False),
        ("PATCH", "TweetBot", "team", True),
        ("PATCH", "TweetBot", "leases", True),
        ("POST", "Job", "tokenreviews", True),
        ("PUT", "Lease", "tweetbot", False),
    ],
)
def test_only_the_lease_may_be_written_by_a_replica_that_does_not_act(
    method: str, kind: str, namespace: str, want: bool
) -> None:
    assert is_fenced(method, f"{collection_path(kind, namespace)}/ann") is want


@settings(max_examples=300, deadline=None)
@given(
    offsets=st.tuples(*[st.floats(0, 1e6)] * 3),
    events=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["try", "cut off", "connect", "release"]), st.floats(0, 20)),
        max_size=60,
    ),
)
def test_two_never_act_at_once(offsets: tuple[float, ...], events: list[tuple[int, str, float]]) -> None:
    replicas, time = make_replicas(*offsets)
    for number, event, seconds in events:
        time[0] += seconds
        replica = replicas[number]
        if event == "try":
            replica.lease.try_once()
        elif event == "release":
            replica.lease.release()
        else:
            replica.is_cut_off = event == "cut off"
        assert sum(each.lease.may_act() for each in replicas) <= 1
