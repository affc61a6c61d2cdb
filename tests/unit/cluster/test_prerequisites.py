import dataclasses

import pytest

from cluster.errors import ClusterError
from cluster.prerequisites import Machine, problems_of_building, problems_of_running, require

GOOD = Machine(system="Linux", is_root=True, has_apt=True, go_version=(1, 26, 0), free_disk=50 * 10**9)


def test_a_good_machine_has_no_problems():
    assert problems_of_running(GOOD) == []


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ({"is_root": False}, "needs root"),
        ({"has_apt": False}, "Debian"),
        ({"go_version": None}, "no `go` on PATH: install Go 1.25.5 or newer"),
        ({"go_version": (1, 22, 3)}, "Go 1.22.3 is too old"),
        ({"free_disk": 10**9}, "set TWEETBOT_CACHE to a larger disk"),
        ({"system": "Darwin"}, "this is Darwin"),
    ],
)
def test_each_missing_thing_is_named(fact, message):
    problems = problems_of_running(dataclasses.replace(GOOD, **fact))
    assert len(problems) == 1
    assert message in problems[0]


def test_a_control_plane_alone_needs_no_root():
    assert problems_of_building(dataclasses.replace(GOOD, is_root=False, has_apt=False)) == []


def test_all_problems_are_told_at_once():
    bad = dataclasses.replace(GOOD, is_root=False, go_version=None)
    with pytest.raises(ClusterError, match=r"(?s)no `go`.*needs root"):
        require(problems_of_running(bad))
