"""`make bench-control-plane`: our operator beside Kubeflow Trainer v2 with JobSet and beside plain Jobs, in one run.

Each measurement has a control plane of its own with 50 fake nodes (`plane.py`), the same programs with the same
arguments for all, so that nobody pays for what another has left in etcd. N objects are created at once by 8 threads and
followed by watches until all are Complete. Our trainers are played (`player.py`), the rivals' pods are kwok's.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.control_plane import curves, report
from benchmarks.control_plane.contestant import Contestant
from benchmarks.control_plane.measurement import Measurement, measure, measure_standing
from benchmarks.control_plane.ours import TweetBots
from benchmarks.control_plane.plane import NODES, SETTINGS, Plane, start_plane
from benchmarks.control_plane.rivals import PlainJobs, TrainJobs

_STARTED = time.monotonic()


def main() -> int:
    """Measure one contestant after the other, print the tables, draw the picture."""
    arguments = _parse()
    shutil.rmtree(arguments.output, ignore_errors=True)
    arguments.output.mkdir(parents=True)
    print(f"{os.cpu_count()} cores, {_commit()}, Python {platform.python_version()}, {NODES} fake nodes\n", flush=True)
    measurements: list[Measurement] = []
    for contestant, measurement in _planned(arguments):
        _run(arguments, contestant, measurement)
        measurements.append(measurement)
        _save(arguments.output, measurements)
    _print(measurements)
    curves.draw(arguments.output / "curves.png", measurements)
    print(f"\nraw results, logs and picture: {arguments.output}")
    return 0 if all(m.complete == m.size for m in measurements if m.contestant == report.OURS) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.control_plane", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 300, 1_000, 3_000, 10_000], help="TweetBots")
    parser.add_argument("--rival-sizes", type=int, nargs="*", default=[300, 1_000], help="TrainJobs and Jobs")
    parser.add_argument("--rivals", nargs="*", choices=("TrainJob", "Job"), default=["TrainJob", "Job"])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), help="limits of clients")
    parser.add_argument("--max-bots", type=int, default=64, help="bots that share a Job of ours at most")
    parser.add_argument("--patience", type=float, default=420, help="seconds after which a measurement is cut off")
    parser.add_argument(
        "--quiet", type=float, default=60, help="seconds of silence before and after a restart; 0: none"
    )
    parser.add_argument("--output", type=Path, default=Path("build/bench-control-plane"))
    return parser.parse_args()


def _planned(arguments: argparse.Namespace) -> Iterator[tuple[Contestant, Measurement]]:
    """Return what is measured, ours between theirs, so that a change of the machine's mood shows in both."""
    for size in sorted({*arguments.sizes, *arguments.rival_sizes}):
        for setting in (SETTINGS[name] for name in arguments.settings):
            if size in arguments.rival_sizes and "TrainJob" in arguments.rivals:
                yield TrainJobs(setting), Measurement(TrainJobs.name, setting.name, size, None)
            if size in arguments.sizes:
                yield (
                    TweetBots(setting, arguments.max_bots),
                    Measurement(TweetBots.name, setting.name, size, arguments.max_bots),
                )
            if size in arguments.rival_sizes and "Job" in arguments.rivals:
                yield PlainJobs(), Measurement(PlainJobs.name, setting.name, size, None)


def _run(arguments: argparse.Namespace, contestant: Contestant, measurement: Measurement) -> None:
    label = f"{report.name_of(measurement)}, {measurement.setting}, N = {measurement.size:,}"

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - _STARTED:5.0f} s] {label}: {text}", flush=True)

    tell("starting")
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / "plane"
        try:
            with start_plane(folder, SETTINGS[measurement.setting]) as plane:
                _play(arguments, plane, contestant, measurement, tell)
        finally:
            _keep_logs(
                folder, arguments.output / "logs" / f"{measurement.contestant}-{measurement.setting}-{measurement.size}"
            )
    tell(f"{report.completed_per_second(measurement):.1f}/s, {report.writes_per_object(measurement):.1f} writes each")


def _play(
    arguments: argparse.Namespace,
    plane: Plane,
    contestant: Contestant,
    measurement: Measurement,
    tell: Callable[[str], None],
) -> None:
    try:
        contestant.start(plane)
        tell("creating objects")
        measure(plane, contestant, measurement, arguments.patience, tell)
        is_largest = measurement.size == max(arguments.sizes, default=0)
        if isinstance(contestant, TweetBots) and is_largest and arguments.quiet:
            tell(f"{arguments.quiet:.0f} s of silence, a restart, {arguments.quiet:.0f} s of silence")
            measure_standing(plane, contestant, measurement, arguments.quiet)
    finally:
        contestant.stop()


def _keep_logs(folder: Path, target: Path) -> None:
    """Keep what the programs printed; the audit log, which may have hundreds of megabytes, is counted in raw.json."""
    target.mkdir(parents=True, exist_ok=True)
    for log in folder.rglob("*.log"):
        if not log.name.startswith("audit"):
            shutil.copy(log, target)


def _save(output: Path, measurements: list[Measurement]) -> None:
    record = {"command": sys.argv, "commit": _commit(), "measurements": [asdict(m) for m in measurements]}
    (output / "raw.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _print(measurements: list[Measurement]) -> None:
    print("\n" + report.rates(measurements))
    for rival in (TrainJobs.name, PlainJobs.name):
        if table := report.against(measurements, rival):
            print(f"\nours against {rival}:\n\n{table}")
    if table := report.standing(measurements):
        print(f"\nthe operator at rest and after a restart:\n\n{table}")
    for contestant in dict.fromkeys(m.contestant for m in measurements):
        largest = max((m for m in measurements if m.contestant == contestant), key=lambda m: m.size)
        title = f"{report.name_of(largest)}, {largest.setting}, N = {largest.size:,}"
        print(f"\n{title}:\n\n{report.requests(largest)}\n\n{report.requests(largest, reads=True)}")


def _commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], check=False, capture_output=True, text=True)
    return found.stdout.strip() or "no commit"


if __name__ == "__main__":
    sys.exit(main())
