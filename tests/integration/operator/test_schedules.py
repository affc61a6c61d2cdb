"""Every order of events from every point of a run: two operators at once, crashes, lost replies, misfortunes."""

import pytest

from tests.integration.operator.exploration import Exploration
from tests.integration.operator.misfortunes import LAP, MISFORTUNES, STEPS, SUSPENSION, TROUBLE
from tests.integration.operator.two_operators import TwoOperators

pytestmark = pytest.mark.integration


def test_every_schedule_ends_alike_with_one_live_pod_at_most() -> None:
    actions = STEPS | TROUBLE | MISFORTUNES | SUSPENSION
    exploration = Exploration(TwoOperators(), actions, (*LAP, *LAP, "A works"))
    exploration.explore(depth=3)
    exploration.wander(schedules=200, length=40)
    assert exploration.ends == {(("ann", "Succeeded", True),)}
