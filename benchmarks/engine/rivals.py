"""Runs each rival over the bots and says how long it took; every process of every rival is a fresh one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where the bots and models lie, and how to compute."""

    base: Path
    bots: Path
    output: Path
    bf16: bool

    def files(self, names: Sequence[str]) -> list[str]:
        """Return the bots' files."""
        return [str(self.bots / f"{name}.npz") for name in names]

    def options(self) -> list[str]:
        """Return the options that every rival's program takes."""
        return ["--bf16"] if self.bf16 else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one rival took."""

    rival: str
    """Its letter, with slots or processes where it has several."""
    bots: tuple[str, ...]
    """Which bots it trained."""
    wall_seconds: list[float]
    """From the start of the first process to the last saved model; one per repetition, or per bot where each bot has a
    process of its own."""
    warm_seconds: list[float] | None = None
    """The same without the start of the process, for rivals that stay; one per repetition."""
    peak_bytes: int | None = None
    """Memory at its peak: of the GPU, or of the process."""

    @property
    def seconds_per_bot(self) -> list[float]:
        """Samples of the time per bot, start-up included."""
        return self._per_bot(self.wall_seconds)

    @property
    def warm_seconds_per_bot(self) -> list[float]:
        """Samples of the time per bot without the start of the process."""
        return self._per_bot(self.warm_seconds or self.wall_seconds)

    def _per_bot(self, seconds: list[float]) -> list[float]:
        if len(seconds) == len(self.bots) and self.warm_seconds is None:
            return seconds
        return [sample / len(self.bots) for sample in seconds]


def process_per_bot(setting: Setting, names: Sequence[str]) -> Measurement:
    """Measure A: the HuggingFace Trainer, one process after the other."""
    seconds = [_train_in_process(setting, "A", name) for name in names]
    return Measurement(rival="A", bots=tuple(names), wall_seconds=seconds)


def several_processes(setting: Setting, names: Sequence[str], at_once: int) -> Measurement:
    """Measure B: as A, several at once on cores of their own; the time per bot is the whole time shared among them."""
    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        threads = max(1, (os.cpu_count() or 1) // at_once)
        list(pool.map(lambda name: _train_in_process(setting, f"B{at_once}", name, threads), names))
    whole = time.perf_counter() - start
    return Measurement(rival=f"B{at_once}", bots=tuple(names), wall_seconds=[whole / len(names)] * len(names))


def warm_process(setting: Setting, names: Sequence[str], rival: str, slots: int, repeats: int) -> Measurement:
    """Measure C (no slots: the HuggingFace Trainer in a loop), D (our engine with one slot) or E (with several)."""
    command = [
        sys.executable, "-m", "benchmarks.engine.warm", *setting.files(names), "--base", str(setting.base),
        "--output", str(setting.output / rival), "--slots", str(slots), "--repeats", str(repeats), *setting.options(),
    ]  # fmt: skip
    start = time.perf_counter()
    printed = _run(command)
    whole = time.perf_counter() - start
    result = json.loads(printed.splitlines()[-1])
    start_up = whole - sum(result["seconds"])
    return Measurement(
        rival=rival,
        bots=tuple(names),
        wall_seconds=[start_up + seconds for seconds in result["seconds"]],
        warm_seconds=result["seconds"],
        peak_bytes=result["peak_bytes"],
    )


def _train_in_process(setting: Setting, rival: str, name: str, threads: int | None = None) -> float:
    (file,) = setting.files([name])
    output = setting.output / rival / name
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.engine.hf_trainer", file, str(setting.base), str(output)]
    _run([*command, *setting.options()], {"OMP_NUM_THREADS": str(threads)} if threads else None)
    return time.perf_counter() - start


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    whole = {**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=whole)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} … failed:\n{done.stderr[-3000:]}")
    return done.stdout
