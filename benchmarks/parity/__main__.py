"""`make bench-parity`: our losses beside the HuggingFace Trainer's, step by step, in one run.

The same small GPT-2, blocks, order and recipe; fp32, no dropout. Exits with 1 when any step's loss, or the final
held-out loss, differs by more than 1e-4 relative.
"""

import sys
from typing import Final

import torch
import transformers

from benchmarks.engine.hf_trainer import quiet
from benchmarks.parity.compare import Comparison, Task, compare, make_task
from benchmarks.table import render
from tweetbot_api.spec.training import Training

TOLERANCE: Final = 1e-4
NUM_STEPS: Final = 40
BLOCK_SIZE: Final = 64
RECIPES: Final[dict[str, dict[str, float]]] = {
    "huggingtweets' recipe": {},
    "decay, warm-up, small norm, uneven batches": {
        "batch_size": 5, "weight_decay": 0.1, "warmup_ratio": 0.2, "max_grad_norm": 0.3, "learning_rate": 1e-3,
    },
    "accumulated gradients": {"batch_size": 2, "gradient_accumulation_steps": 3, "learning_rate": 1e-3},
}  # fmt: skip


def main() -> int:
    """Compare with each recipe and print the losses; return 1 if one differs too much."""
    quiet()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, tolerance {TOLERANCE:g} relative")
    worst = 0.0
    for name, comparison in zip(RECIPES, compare([_make_task(fields) for fields in RECIPES.values()]), strict=True):
        print(f"\n{name}: {len(comparison.differences)} steps\n\n{_table(comparison)}")
        print(f"\nlargest relative difference of a step: {max(comparison.differences):.2e}")
        print(f"held-out loss: HuggingFace {comparison.theirs.held_out:.6f}, ours {comparison.ours.held_out:.6f},")
        print(f"relative difference {comparison.held_out_difference:.2e}")
        worst = max(worst, *comparison.differences, comparison.held_out_difference)
    print(f"\nlargest of all: {worst:.2e} ({'within' if worst <= TOLERANCE else 'OVER'} {TOLERANCE:g})")
    return 0 if worst <= TOLERANCE else 1


def _make_task(fields: dict[str, float]) -> Task:
    recipe = Training.model_validate({"block_size": BLOCK_SIZE, "precision": "fp32", **fields})
    at_once = recipe.batch_size * recipe.gradient_accumulation_steps
    # As many steps with every recipe, and the last batch smaller than the others where it can be.
    return make_task(recipe, NUM_STEPS * at_once - (at_once > 1), layers=2, width=64)


def _table(comparison: Comparison) -> str:
    pairs = zip(comparison.theirs.losses, comparison.ours.losses, comparison.differences, strict=True)
    rows = [
        (step, f"{theirs:.7f}", f"{ours:.7f}", f"{difference:.1e}")
        for step, (theirs, ours, difference) in enumerate(pairs, start=1)
    ]
    return render(rows, ("step", "HuggingFace Trainer", "ours", "relative difference"))


if __name__ == "__main__":
    sys.exit(main())
