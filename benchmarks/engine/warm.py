"""The rivals that train all bots in one process: the HuggingFace Trainer in a loop, and our engine with K slots.

Run as a program, so that each rival begins with a fresh process; prints one JSON line of what it measured.
"""

import argparse
import json
import math
import resource
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.engine.hf_trainer import LEARNING_RATE, quiet, train_one
from benchmarks.engine.workload import Bot, load_bot, load_model
from tweetbot_trainer.fused.course import Course, Finished
from tweetbot_trainer.fused.engine import FusedTrainer


def main() -> None:
    """Train the bots of a folder by one rival."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bots", type=Path, nargs="+")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--slots", type=int, default=0, help="0: the HuggingFace Trainer")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    quiet()
    bots = [load_bot(path) for path in arguments.bots]
    seconds = []
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        if arguments.slots:
            _train_fused(bots, arguments.base, arguments.output, arguments.slots, bf16=arguments.bf16)
        else:
            for bot in bots:
                train_one(bot, arguments.base, arguments.output / bot.name, bf16=arguments.bf16)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds, "peak_bytes": _peak_bytes()}))


def _train_fused(bots: Sequence[Bot], base: Path, output: Path, slots: int, *, bf16: bool) -> None:
    """Train all bots, the longest first, and save each as soon as it is done, while the others go on."""
    trainer = FusedTrainer(
        load_model(base),
        num_slots=min(slots, len(bots)),
        num_rows=1,
        num_tokens=bots[0].learned.shape[1],
        compute_dtype=torch.bfloat16 if bf16 else torch.float32,
    )
    with ThreadPoolExecutor(1) as saver:
        saved = [
            saver.submit(_save, _to_host(event.weights), base, output / event.key)
            for event in trainer.run(_courses(bots))
            if isinstance(event, Finished)
        ]
    for future in saved:
        future.result()


def _courses(bots: Sequence[Bot]) -> Iterator[Course]:
    for bot in sorted(bots, key=lambda bot: -bot.num_steps):
        steps = bot.num_steps
        rates = [LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
        yield Course(key=bot.name, batches=[block[None] for block in bot.learned], learning_rates=rates)


def _to_host(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: weight.to("cpu", copy=True) for name, weight in weights.items()}


def _save(weights: dict[str, torch.Tensor], base: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(base / "config.json", folder)


def _peak_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
