"""`make bench-training`: steps and tokens per second and MFU of one bot's training, beside the HuggingFace Trainer's.

A GPT-2 of the real size on a GPU (a small one on a CPU) with random weights from a configuration, and as many blocks as
the seed of the project had: nothing is downloaded. The contestants take turns in a random order; medians count. Needs
no cluster and no network: `PYTHONPATH=.:api:trainer python -m benchmarks.training`.
"""

import argparse
import json
import multiprocessing
import platform
import random
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

import torch
import transformers

from benchmarks.engine.hf_trainer import quiet
from benchmarks.engine.report import PEAK_TFLOPS, flops_per_token
from benchmarks.engine.workload import SCALES, Scale
from benchmarks.table import render
from benchmarks.training.contestants import CONTESTANTS, Timing, run

NUM_BLOCKS: Final = 33
"""Four copies of the seed's 382 posts, in blocks of 1,024 tokens."""


def main() -> int:
    """Measure each arithmetic and print the table."""
    arguments = _parse()
    quiet()
    scale = SCALES[arguments.model]
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}, transformers {transformers.__version__}, {platform.python_version()}")
    print(f"{scale}, {arguments.blocks} blocks, batch 1, medians of {arguments.repeats}\n")
    rows, raw = [], {}
    for precision in arguments.precisions:
        timings = _measure(precision, arguments.blocks, scale, arguments.repeats)
        raw[precision] = {contestant: [asdict(one) for one in several] for contestant, several in timings.items()}
        rows += [_row(contestant, precision, several, scale, name) for contestant, several in timings.items()]
    print(render(rows, _HEADER))
    if arguments.output:
        arguments.output.write_text(json.dumps({"device": name, "timings": raw}, indent=2))
    return 0


_HEADER = ("trainer", "arithmetic", "steps/s", "tokens/s", "MFU", "whole training, s", "last loss")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=SCALES, default="gpt2" if torch.cuda.is_available() else "small")
    parser.add_argument("--blocks", type=int, default=NUM_BLOCKS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--output", type=Path, help="file for every single timing, as JSON")
    return parser.parse_args()


def _measure(precision: str, num_blocks: int, scale: Scale, repeats: int) -> dict[str, list[Timing]]:
    """Return each contestant's timings; a first training of each, which pays for imports and kernels, is left out."""
    timings: dict[str, list[Timing]] = {contestant: [] for contestant in CONTESTANTS}
    order = random.Random(0)  # noqa: S311 - reproducible, not secret
    with ExitStack() as stack:
        processes = {contestant: stack.enter_context(_process()) for contestant in CONTESTANTS}
        for repeat in range(repeats + 1):
            for contestant in order.sample(list(CONTESTANTS), len(CONTESTANTS)):
                timing = processes[contestant].submit(run, contestant, scale, num_blocks, precision).result()
                if repeat:
                    timings[contestant].append(timing)
    return timings


def _process() -> ProcessPoolExecutor:
    """Return a process of the contestant's own: the HuggingFace Trainer takes our process group for a cluster's."""
    return ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"))


def _row(contestant: str, precision: str, timings: list[Timing], scale: Scale, device: str) -> tuple[str, ...]:
    steps_per_second = statistics.median(timing.steps_per_second for timing in timings)
    tokens_per_second = steps_per_second * scale.block
    peaks = next((peaks for known, peaks in PEAK_TFLOPS.items() if known in device), None)
    reached = tokens_per_second * flops_per_token(scale)
    return (
        contestant,
        precision,
        f"{steps_per_second:.2f}",
        f"{tokens_per_second:,.0f}",
        f"{reached / (peaks[0 if precision == 'bf16' else 1] * 1e12):.1%}" if peaks else "-",
        f"{statistics.median(timing.seconds for timing in timings):.2f}",
        f"{statistics.median(timing.last_loss for timing in timings):.3f}",
    )


if __name__ == "__main__":
    sys.exit(main())
