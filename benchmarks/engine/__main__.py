"""`make bench-engine`: our engine beside the HuggingFace Trainer, on the same bots, in one run.

Rivals: A a process per bot; B as A, several at once; C one warm process that loops; D ours with one slot; E ours fused;
F as E in fp32, where the others are in bf16.
A and B train a sample of the bots, because their time per bot does not depend on how many there are. Nothing is
uploaded or tracked by any rival. A model counts only if transformers loads it and it beats the base on held-out text.
"""

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
import transformers

from benchmarks.engine import gate, report, rivals
from benchmarks.engine.by_size import SIZE_HEADER, SizeMeasurement, measure_sizes, size_rows
from benchmarks.engine.hf_trainer import quiet
from benchmarks.engine.workload import SCALES, Bot, make_bots, save_base_model, save_bots
from benchmarks.table import render


@dataclass(frozen=True, slots=True)
class Contest:
    """What one rival took, and which of its models count."""

    measurement: rivals.Measurement
    verdict: gate.Verdict


def main() -> int:
    """Run the rivals, print the report, return 1 if a model of ours does not count."""
    arguments = _parse()
    quiet()
    scale = SCALES[arguments.model]
    shutil.rmtree(arguments.output, ignore_errors=True)
    bots = make_bots(arguments.mix, arguments.bots, scale)
    setting = rivals.Setting(
        base=arguments.output / "base", bots=arguments.output / "bots", output=arguments.output, bf16=arguments.bf16
    )
    save_base_model(scale, setting.base)
    save_bots(bots, setting.bots)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"{device}; torch {torch.__version__}, transformers {transformers.__version__}, {platform.python_version()}")
    print(f"{len(bots)} bots ({arguments.mix}), {scale}, {'bf16' if arguments.bf16 else 'fp32'}\n")

    contests = _contest(arguments, setting, bots)
    measured = [contest.measurement for contest in contests]
    best = max((m for m in measured if m.rival.startswith("E")), key=report.bots_per_hour)
    print("\n" + render(_rows(contests, bots, device, arguments), _HEADER))
    ratios = _ratios(measured, best)
    print("\n" + render(ratios, ("ours against", "with start-up", "95 %", "warm", "95 % warm")))
    _compare_losses(contests, best)
    by_size: list[SizeMeasurement] = []
    if arguments.sizes:
        by_size = measure_sizes(setting, scale, arguments.sizes, arguments.bots_per_size, max(arguments.slots))
        print("\n" + render(size_rows(by_size), SIZE_HEADER))
    _save(arguments.output, measured, by_size, device)
    if find_spec("matplotlib"):
        _draw(arguments, measured, by_size, device)
    else:
        print("no pictures are drawn: matplotlib is not installed")
    failed = [bot for c in contests if c.measurement.rival[0] in "DEF" for bot in c.verdict.failed]
    return 1 if failed else 0


_HEADER = ("rival", "bots", "of them count", "s per bot", "warm s per bot", "bots/hour", "MFU", "memory at peak, MiB")


_RIVALS = {"A": "a process per bot", "B": "several processes", "C": "one warm process"}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=SCALES, default="gpt2" if torch.cuda.is_available() else "small")
    parser.add_argument("--mix", choices=("seed-sized", "log-uniform"), default="seed-sized")
    parser.add_argument("--bots", type=int, default=64)
    parser.add_argument("--sample", type=int, default=8, help="bots that A and B train")
    parser.add_argument("--slots", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--processes", type=int, nargs="+", default=[2], help="processes at once, for B")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="and once in fp32, to compare the losses")
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="tokens of posts, for a table by bot size")
    parser.add_argument("--bots-per-size", type=int, default=16)
    parser.add_argument("--output", type=Path, default=Path("build/bench-engine"))
    return parser.parse_args()


def _contest(arguments: argparse.Namespace, setting: rivals.Setting, bots: list[Bot]) -> list[Contest]:
    """Run every rival, ours between theirs, so that a change of the machine's mood shows in both."""
    names = [bot.name for bot in bots]
    sample = names[:: max(1, len(names) // arguments.sample)][: arguments.sample]
    fp32 = replace(setting, bf16=False)
    runs: list[Callable[[], rivals.Measurement]] = [
        partial(rivals.process_per_bot, setting, sample),
        *(partial(rivals.several_processes, setting, sample, at_once) for at_once in arguments.processes),
        partial(rivals.warm_process, setting, names, "D", 1, arguments.repeats),
        *(
            partial(rivals.warm_process, setting, names, f"E{slots}", slots, arguments.repeats)
            for slots in arguments.slots
        ),
        *([partial(rivals.warm_process, fp32, names, "F", min(arguments.slots), 1)] if arguments.bf16 else []),
        partial(rivals.warm_process, setting, names, "C", 0, arguments.repeats),
    ]
    judges = gate.Gate(bots, setting.base)
    contests = []
    for run in runs:
        m = run()
        print(f"{m.rival}: {report.bots_per_hour(m):,.0f} bots/hour", flush=True)
        contests.append(Contest(m, judges.judge(setting.output / m.rival, m.bots)))
    return contests


def _rows(contests: list[Contest], bots: list[Bot], device: str, arguments: argparse.Namespace) -> list[list[str]]:
    rows = []
    for contest in contests:
        m = contest.measurement
        share = report.mfu(m, bots, SCALES[arguments.model], device, bf16=arguments.bf16 and m.rival != "F")
        rows.append(
            [
                m.rival,
                str(len(m.bots)),
                str(len(m.bots) - len(contest.verdict.failed)),
                f"{3600 / report.bots_per_hour(m):.3f}",
                f"{3600 / report.bots_per_hour(m, warm=True):.3f}" if m.warm_seconds else "",
                f"{report.bots_per_hour(m):,.0f}",
                f"{share:.1%}" if share is not None else "",
                f"{m.peak_bytes / 2**20:,.0f}" if m.peak_bytes else "",
            ]
        )
    return rows


def _ratios(measured: list[rivals.Measurement], best: rivals.Measurement) -> list[list[str]]:
    rows = []
    for m in measured:
        if m.rival[0] in "EF":
            continue
        value, low, high = report.ratio(best, m)
        row = [m.rival, f"{value:.1f} x", f"{low:.1f} to {high:.1f}"]
        if m.warm_seconds:
            value, low, high = report.ratio(best, m, warm=True)
            row += [f"{value:.2f} x", f"{low:.2f} to {high:.2f}"]
        rows.append([*row, "", ""][:5])
    return rows


def _compare_losses(contests: list[Contest], best: rivals.Measurement) -> None:
    """Print by how much the held-out losses of ours differ from those of the warm loop, and of fp32."""
    verdicts = {contest.measurement.rival: contest.verdict for contest in contests}
    print()
    for other, what in (("C", "the warm loop"), ("F", "fp32")):
        if other in verdicts:
            difference = gate.mean_difference(verdicts[best.rival], verdicts[other])
            print(f"mean held-out loss, {best.rival} minus {what}: {difference:+.4f} nat over {len(best.bots)} bots")


def _save(output: Path, measured: list[rivals.Measurement], by_size: list[SizeMeasurement], device: str) -> None:
    record = {
        "device": device,
        "command": sys.argv,
        "measurements": [asdict(m) for m in measured],
        "sizes": [asdict(item) for item in by_size],
    }
    (output / "raw.json").write_text(json.dumps(record, indent=1, default=str), encoding="utf-8")


def _draw(
    arguments: argparse.Namespace, measured: list[rivals.Measurement], by_size: list[SizeMeasurement], device: str
) -> None:
    from benchmarks.engine.curves import draw_sizes, draw_slots

    if by_size:
        draw_sizes(arguments.output / "sizes.png", by_size, f"{arguments.model} model, {device}")
    by_slots = {int(m.rival[1:]): report.bots_per_hour(m) for m in measured if m.rival[0] == "E"}
    by_slots[1] = next(report.bots_per_hour(m) for m in measured if m.rival == "D")
    others = {f"HF Trainer, {_RIVALS[m.rival[0]]}": report.bots_per_hour(m) for m in measured if m.rival[0] in _RIVALS}
    title = f"{arguments.bots} bots ({arguments.mix}), {arguments.model} model, {device}"
    draw_slots(arguments.output / "slots.png", dict(sorted(by_slots.items())), others, title)


if __name__ == "__main__":
    sys.exit(main())
