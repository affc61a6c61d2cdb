"""The diagram of phases, drawn from the operator's own table."""

from collections.abc import Sequence

from tweetbot_api.status import Phase
from tweetbot_operator.life_cycle import TRANSITIONS

_HEAD = """<!-- Generated from operator/tweetbot_operator/life_cycle.py by `make generate`; edit that table. -->
# The life of a bot

A phase sums up the conditions for people. These are all the changes that there are: every test of the operator fails at
any other, and [a table](../tests/integration/life_cycle/cases.py) goes through each of them on a real apiserver.
[Concepts](concepts.md) tells what starts, stops and ends a run, [reasons](reasons.md) what each cause means.

```mermaid
stateDiagram-v2
"""


def render_life_cycle() -> str:
    """Return docs/life-cycle.md."""
    arrows = [f"    {_name(before)} --> {item.after}: {item.cause}" for item in TRANSITIONS for before in item.before]
    table = ["| from | to | because |", "|---|---|---|"]
    table += [f"| {_list(item.before)} | {item.after} | {item.cause} |" for item in TRANSITIONS]
    return "\n".join((_HEAD + "\n".join(arrows), "    Deleting --> [*]", "```", "", *table)) + "\n"


def _name(phase: Phase | None) -> str:
    return phase or "[*]"


def _list(phases: Sequence[Phase | None]) -> str:
    return ", ".join(phase or "(new)" for phase in phases)
