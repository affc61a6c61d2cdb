"""Ours and the warm loop on bots of one size after the other: what is gained depends on how long a bot is trained."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.engine import report, rivals
from benchmarks.engine.workload import Scale, make_bots_of_size, save_bots

SIZE_HEADER: Final = (
    "tokens of posts",
    "steps",
    "bots",
    "C, s per bot",
    "ours, s per bot",
    "ours is faster by",
    "warm by",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeMeasurement:
    """What bots of one size took."""

    tokens: int
    """Of posts, for blocks of 1,024."""
    steps: int
    loop: rivals.Measurement
    """The HuggingFace Trainer in a warm process."""
    ours: rivals.Measurement
    """The fused engine."""


def measure_sizes(
    setting: rivals.Setting, scale: Scale, sizes: Sequence[int], bots_per_size: int, slots: int
) -> list[SizeMeasurement]:
    """Train as many bots of each size by both."""
    return [_measure_size(setting, scale, tokens, bots_per_size, slots) for tokens in sizes]


def size_rows(measured: Sequence[SizeMeasurement]) -> list[list[str]]:
    """Return a row of the table for each size."""
    return [
        [
            f"{item.tokens:,}",
            str(item.steps),
            str(len(item.ours.bots)),
            f"{3600 / report.bots_per_hour(item.loop):.3f}",
            f"{3600 / report.bots_per_hour(item.ours):.3f}",
            f"{report.ratio(item.ours, item.loop)[0]:.1f} x",
            f"{report.ratio(item.ours, item.loop, warm=True)[0]:.1f} x",
        ]
        for item in measured
    ]


def _measure_size(
    setting: rivals.Setting, scale: Scale, tokens: int, bots_per_size: int, slots: int
) -> SizeMeasurement:
    bots = make_bots_of_size(tokens, bots_per_size, scale)
    own = replace(setting, bots=setting.output / f"bots-{tokens}", output=setting.output / f"size-{tokens}")
    save_bots(bots, own.bots)
    names = [bot.name for bot in bots]
    ours = rivals.warm_process(own, names, f"E{slots}", slots, 1)
    loop = rivals.warm_process(own, names, "C", 0, 1)
    print(
        f"{tokens:,} tokens: {report.bots_per_hour(ours):,.0f} bots/hour, C {report.bots_per_hour(loop):,.0f}",
        flush=True,
    )
    shutil.rmtree(own.output)
    return SizeMeasurement(tokens=tokens, steps=bots[0].num_steps, loop=loop, ours=ours)
