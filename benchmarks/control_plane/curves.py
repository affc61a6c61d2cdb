"""The picture of the benchmark: speed, writes and memory against the number of objects."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.control_plane import report
from benchmarks.control_plane.measurement import Measurement

mpl.use("Agg")
from matplotlib import pyplot as plt

_COLORS = {"TweetBot": "#1d9bf0", "TrainJob": "#e0245e", "Job": "#536471"}
_LINES = {"defaults": "o--", "lifted": "o-"}
_PANELS: tuple[tuple[str, Callable[[Measurement], float]], ...] = (
    ("objects to Complete per second", report.completed_per_second),
    ("API writes per object, all clients", report.writes_per_object),
    ("controllers' memory at peak, MiB", report.controllers_peak),
)


def draw(path: Path, measurements: Sequence[Measurement]) -> None:
    """Draw a panel for each quantity and a line for each contestant and setting."""
    figure, panels = plt.subplots(1, len(_PANELS), figsize=(13, 4.2), layout="constrained")
    for axes, (label, quantity) in zip(panels, _PANELS, strict=True):
        for contestant, color in _COLORS.items():
            for setting, line in _LINES.items():
                points = sorted(
                    (m.size, quantity(m)) for m in measurements if (m.contestant, m.setting) == (contestant, setting)
                )
                points = [(size, value) for size, value in points if value]
                if points:
                    axes.plot(*zip(*points, strict=True), line, color=color, label=f"{contestant}, {setting}")
        axes.set(xlabel="objects created at once", ylabel=label, xscale="log", yscale="log")
        axes.grid(visible=True, which="major", alpha=0.3)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
