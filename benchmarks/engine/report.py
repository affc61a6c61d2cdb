"""From measurements to figures: bots per device-hour, ratios with their confidence intervals, MFU."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.engine.rivals import Measurement
from benchmarks.engine.workload import Bot, Scale

_RESAMPLES: Final = 4_000
PEAK_TFLOPS: Final = {"H200": (989.0, 67.0), "H100": (989.0, 67.0), "A100": (312.0, 19.5)}
"""Dense bf16 and fp32 peaks from NVIDIA's data sheets (SXM)."""


def bots_per_hour(measurement: Measurement, *, warm: bool = False) -> float:
    """Return how many bots one device trains in an hour."""
    samples = measurement.warm_seconds_per_bot if warm else measurement.seconds_per_bot
    return 3600 / float(np.mean(samples))


def ratio(ours: Measurement, theirs: Measurement, *, warm: bool = False) -> tuple[float, float, float]:
    """Return how many times more bots per hour we train, with the 95 % interval of a bootstrap over the samples."""
    mine, other = (np.array(m.warm_seconds_per_bot if warm else m.seconds_per_bot) for m in (ours, theirs))
    random = np.random.default_rng(0)
    resampled = [
        random.choice(other, len(other)).mean() / random.choice(mine, len(mine)).mean() for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(other.mean() / mine.mean()), float(low), float(high)


def flops_per_token(scale: Scale) -> float:
    """Return the operations of both passes per token: 6 per weight of a matrix product, and causal attention.

    Chowdhery et al. 2022 (arXiv:2204.02311), appendix B, with half of the attention for the causal mask; the embedding
    counts once, as the head.
    """
    weights = 12 * scale.layers * scale.width**2 + scale.vocabulary * scale.width
    return 6 * weights + 6 * scale.layers * scale.width * scale.block


def mfu(measurement: Measurement, bots: Sequence[Bot], scale: Scale, device_name: str, *, bf16: bool) -> float | None:
    """Return the share of the device's peak that the training reached, None for a device whose peak is not listed."""
    peak = next((peaks for name, peaks in PEAK_TFLOPS.items() if name in device_name), None)
    if peak is None:
        return None
    by_name = {bot.name: bot for bot in bots}
    tokens = sum(by_name[name].learned.size for name in measurement.bots)
    seconds = float(np.mean(measurement.warm_seconds or measurement.wall_seconds))
    if measurement.warm_seconds is None:
        seconds *= len(measurement.bots)
    return tokens * flops_per_token(scale) / seconds / (peak[0 if bf16 else 1] * 1e12)
