"""The pictures of the benchmark: bots per hour against the number of slots and their size, beside the rivals."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.engine.by_size import SizeMeasurement
from benchmarks.engine.report import bots_per_hour


def draw_slots(path: Path, by_slots: Mapping[int, float], rivals: Mapping[str, float], title: str) -> None:
    """Draw bots per device-hour (start-up included) for each number of slots, the rivals as lines across."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(list(by_slots), list(by_slots.values()), "o-", color="#1d9bf0", label="ours, fused")
    for (name, value), color in zip(rivals.items(), ("#536471", "#e0245e", "#794bc4", "#17bf63"), strict=False):
        axes.axhline(value, linestyle="--", linewidth=1.2, color=color, label=name)
    axes.set(xlabel="bots at once (slots)", ylabel="bots per device-hour", title=title, yscale="log", xscale="log")
    axes.set_xticks(list(by_slots), [str(slots) for slots in by_slots])
    _finish(path, figure, axes)


def draw_sizes(path: Path, measured: Sequence[SizeMeasurement], title: str) -> None:
    """Draw bots per device-hour (start-up included) for each size of bots."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    tokens = [item.tokens for item in measured]
    axes.plot(tokens, [bots_per_hour(item.ours) for item in measured], "o-", color="#1d9bf0", label="ours, fused")
    loop = [bots_per_hour(item.loop) for item in measured]
    axes.plot(tokens, loop, "o--", color="#794bc4", label="HF Trainer, one warm process")
    axes.set(xlabel="tokens of a bot's posts", ylabel="bots per device-hour", title=title, yscale="log", xscale="log")
    axes.set_xticks(tokens, [f"{number:,}" for number in tokens])
    _finish(path, figure, axes)


def _finish(path: Path, figure: Figure, axes: Axes) -> None:
    axes.minorticks_off()
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)
