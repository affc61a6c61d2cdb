"""loss.png: how the training loss fell, and where the held-out loss ended."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from tweetbot_api.status import Evaluation

_BLUE, _PALE_BLUE, _ORANGE, _GREY, _INK = "#4457d6", "#c3caf5", "#d9662b", "#8a90a2", "#1d2233"
_SMOOTHING: Final = 0.8
"""Weight of the past in the moving average."""
_FEW_POINTS: Final = 4
_TITLE_CHARACTERS: Final = 80


def draw_loss_curve(path: Path, title: str, losses: Sequence[tuple[int, float]], evaluation: Evaluation | None) -> None:
    """Write the curve of (step, loss in nats per token), with the held-out loss before and after if it was measured."""
    figure = Figure(figsize=(9, 4.5), dpi=120, layout=ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.12))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = [step for step, _ in losses]
    values = [loss for _, loss in losses]
    if len(steps) < _FEW_POINTS:
        axes.plot(steps, values, color=_BLUE, linewidth=2.2, marker="o", label="training")
    else:
        axes.plot(steps, values, color=_PALE_BLUE, linewidth=1.2)
        axes.plot(steps, smooth(values), color=_BLUE, linewidth=2.2, label="training (smoothed)")
    if evaluation:
        if evaluation.base_loss is not None:
            axes.axhline(
                evaluation.base_loss, color=_GREY, linestyle=":", linewidth=1.6,
                label=f"held out, before training: {evaluation.base_loss:.2f}",
            )  # fmt: skip
        if evaluation.loss is not None:
            axes.axhline(
                evaluation.loss, color=_ORANGE, linestyle="--", linewidth=1.6,
                label=f"held out, after training: {evaluation.loss:.2f}",
            )  # fmt: skip
    shown = textwrap.shorten(title, _TITLE_CHARACTERS, placeholder=" …")
    axes.set_title(shown, loc="left", fontsize=13, fontweight="bold", color=_INK, pad=12, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step", color=_INK)
    axes.set_ylabel("loss (nats per token)", color=_INK)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color="#e8eaf2")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(colors=_INK, length=3)
    axes.legend(frameon=False, loc="best", labelcolor=_INK)
    figure.savefig(path, metadata={"Software": None})


def smooth(values: Sequence[float]) -> list[float]:
    """Return the exponential moving average, corrected for its start."""
    smoothed: list[float] = []
    average = weight = 0.0
    for value in values:
        average = _SMOOTHING * average + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        smoothed.append(average / weight)
    return smoothed
