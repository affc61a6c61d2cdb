"""loss.png: how the training loss fell, and where the held-out loss ended.

Typst draws it, as it sets the other picture: twenty milliseconds a bot, where a plotting library takes half a second.
"""

import json
import math
import textwrap
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import typst

from tweetbot_api.status import Evaluation
from tweetbot_trainer.picture import drawable, fonts

SIZE: Final = (1080, 540)
_PLOT: Final = {"left": 84, "top": 78, "width": 966, "height": 392}
"""Where the axes are, in pixels."""
_SMOOTHING: Final = 0.8
"""Weight of the past in the moving average."""
_FEW_POINTS: Final = 4
_MOST_POINTS: Final = 2_000
_TITLE_CHARACTERS: Final = 80
_X_TICKS, _Y_TICKS = 9, 7
_MARGIN: Final = 0.06
"""Share of the height that is left free above and below the losses."""


def draw_loss_curve(path: Path, title: str, losses: Sequence[tuple[int, float]], evaluation: Evaluation | None) -> None:
    """Write the curve of (step, loss in nats per token), with the held-out loss before and after if it was measured."""
    thinned = losses[:: max(1, math.ceil(len(losses) / _MOST_POINTS))]
    values = [loss for _, loss in thinned]
    levels = _levels(evaluation)
    num_steps = losses[-1][0] if losses else 1
    x_ticks = [tick for tick in ticks(0, num_steps, _X_TICKS) if tick == int(tick)]
    low, high = _range([*values, *(level["loss"] for level in levels)])

    def placed(numbers: Sequence[float]) -> list[tuple[float, float]]:
        points = zip((step for step, _ in thinned), numbers, strict=True)
        return [(round(step / num_steps, 5), round((loss - low) / (high - low), 5)) for step, loss in points]

    is_short = len(thinned) < _FEW_POINTS
    facts = {
        "width": SIZE[0],
        "height": SIZE[1],
        "plot": _PLOT,
        "title": drawable(textwrap.shorten(title, _TITLE_CHARACTERS, placeholder=" …")),
        "pale": [] if is_short else placed(values),
        "curve": placed(values if is_short else smooth(values)),
        "dots": is_short,
        "label": "training" if is_short else "training (smoothed)",
        "levels": [level | {"place": (level["loss"] - low) / (high - low)} for level in levels],
        "x": [{"text": f"{tick:,.0f}", "place": tick / num_steps} for tick in x_ticks],
        "y": [{"text": f"{tick:.10g}", "place": (tick - low) / (high - low)} for tick in ticks(low, high, _Y_TICKS)],
    }
    template = files("tweetbot_trainer").joinpath("templates", "loss.typ").read_bytes()
    picture = typst.compile(
        template, format="png", ppi=72.0, font_paths=fonts(), sys_inputs={"data": json.dumps(facts)}
    )
    path.write_bytes(picture)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return about so many round numbers from low to high, at most one more, 1, 2 or 5 times a power of ten apart."""
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    apart = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
    first, last = math.ceil(low / apart - 1e-9), math.floor(high / apart + 1e-9)
    return [round(number * apart, 10) for number in range(first, last + 1)]


def _levels(evaluation: Evaluation | None) -> list[dict[str, Any]]:
    """Return the held-out losses with what the legend says of them."""
    if evaluation is None:
        return []
    before, after = evaluation.base_loss, evaluation.loss
    found = [("held out, before training", before, False), ("held out, after training", after, True)]
    return [
        {"text": f"{text}: {loss:.2f}", "loss": loss, "isAfter": is_after}
        for text, loss, is_after in found
        if loss is not None
    ]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    free = _MARGIN * (high - low) or 0.5
    return low - free, high + free


def smooth(values: Sequence[float]) -> list[float]:
    """Return the exponential moving average, corrected for its start."""
    smoothed: list[float] = []
    average = weight = 0.0
    for value in values:
        average = _SMOOTHING * average + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        smoothed.append(average / weight)
    return smoothed
