"""Every order of events from every point of a run: two operators at once, crashes, lost replies, misfortunes."""

import pytest

from tests.integration.operator.exploration import Exploration
from tests.integration.operator.misfortunes import LAP, MISFORTUNES, START, STEPS, SUSPENSION, TROUBLE
from tests.integration.operator.two_operators import TwoOperators

pytestmark = pytest.mark.integration


STOPPED = (*LAP, *START, "Jobs are deleted", "A hears", "A works", "time passes", "A works", "what was stopped goes")
"""A life in which the next attempt has to wait for a pod of the former one."""


def test_every_schedule_ends_alike_with_one_live_pod_at_most() -> None:
    exploration = Exploration(TwoOperators(), STEPS | TROUBLE | MISFORTUNES | SUSPENSION)
    exploration.explore((*LAP, *LAP, "A works"), depth=3)
    exploration.explore(STOPPED, depth=2)
    exploration.finish()
    assert exploration.ends == {(("ann", "Succeeded", True),)}
