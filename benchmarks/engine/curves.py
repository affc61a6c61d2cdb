"""The picture of the benchmark: bots per hour against the number of slots, beside the rivals."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw_slots(path: Path, by_slots: Mapping[int, float], rivals: Mapping[str, float], title: str) -> None:
    """Draw bots per device-hour (start-up included) for each number of slots, the rivals as lines across."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot(list(by_slots), list(by_slots.values()), "o-", color="#1d9bf0", label="ours, fused")
    for (name, value), color in zip(rivals.items(), ("#536471", "#e0245e", "#794bc4", "#17bf63"), strict=False):
        axes.axhline(value, linestyle="--", linewidth=1.2, color=color, label=name)
    axes.set(xlabel="bots at once (slots)", ylabel="bots per device-hour", title=title, yscale="log", xscale="log")
    axes.set_xticks(list(by_slots), [str(slots) for slots in by_slots])
    axes.minorticks_off()
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)
