"""How far a run is: the protocol that stages report through, and the arithmetic from a stage to the whole run.

Reporting never waits, and fails no run but one that nobody waits for any more. Where reports go is decided at the edge:
`operator_channel` sends them to the operator, `console` draws them on a terminal.
"""

from typing import Final, Protocol

from tweetbot_api.status import Stage

STAGE_PERCENT: Final[dict[Stage, tuple[int, int]]] = {
    "Fetching": (0, 5),
    "Cleaning": (5, 10),
    "Training": (10, 85),
    "Evaluating": (85, 90),
    "Generating": (90, 95),
    "Publishing": (95, 100),
}
"""First and last percent of the whole run that each stage stands for."""


class Reporter(Protocol):
    """Takes note of how far a stage is."""

    def report(
        self,
        stage: Stage,
        fraction: float,
        *,
        step: int | None = None,
        total_steps: int | None = None,
        loss: float | None = None,
        tokens_per_second: float | None = None,
        eta_seconds: int | None = None,
    ) -> None:
        """Say that `fraction` (0 to 1) of the stage is done; returns at once, raises nothing but UnwantedError."""
        ...


class NullReporter:
    """Reports to nobody."""

    def report(
        self,
        stage: Stage,
        fraction: float,
        *,
        step: int | None = None,
        total_steps: int | None = None,
        loss: float | None = None,
        tokens_per_second: float | None = None,
        eta_seconds: int | None = None,
    ) -> None:
        """Do nothing."""


def overall_percent(stage: Stage, fraction: float) -> int:
    """Return how many percent of the whole run are done when this fraction of the stage is."""
    first, last = STAGE_PERCENT[stage]
    return first + int((last - first) * min(max(fraction, 0.0), 1.0))
