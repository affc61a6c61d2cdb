"""From measurements to tables: rates, requests per object, what the controllers take, and ours against theirs."""

from collections.abc import Iterable, Sequence

from benchmarks.control_plane.audit import per_object, total
from benchmarks.control_plane.measurement import PARTS_OF_THE_PLANE, Measurement
from benchmarks.table import render

OURS = "TweetBot"


def completed_per_second(measurement: Measurement) -> float:
    """Return objects to Complete per second, from the first creation to the last end."""
    return measurement.complete / measurement.seconds


def with_job_per_second(measurement: Measurement) -> float | None:
    """Return objects to their first Job per second, None if not all had one when time was up."""
    return measurement.size / measurement.jobs_seconds if measurement.jobs_seconds else None


def writes_per_object(measurement: Measurement) -> float:
    """Return the writes of all clients per object that was completed."""
    return total(measurement.writes) / max(measurement.complete, 1)


def reads_per_object(measurement: Measurement) -> float:
    """Return the reads of all clients per object that was completed."""
    return total(measurement.reads) / max(measurement.complete, 1)


def controllers_peak(measurement: Measurement) -> float:
    """Return the peak memory of the contestant's own controllers in MiB."""
    return sum(usage.peak for name, usage in measurement.usage.items() if name not in PARTS_OF_THE_PLANE)


def cpu_per_object(measurement: Measurement) -> float:
    """Return the processor milliseconds of the controllers and the control plane per object that was completed."""
    seconds = sum(usage.cpu_seconds for usage in measurement.usage.values())
    return 1000 * seconds / max(measurement.complete, 1)


def name_of(measurement: Measurement) -> str:
    """Return the contestant, ours with its batches."""
    batches = f", batches of {measurement.max_bots}" if measurement.max_bots is not None else ""
    return f"{measurement.contestant}{batches}"


def rates(measurements: Iterable[Measurement]) -> str:
    """Return the table of all measurements."""
    rows = []
    for m in measurements:
        to_job = with_job_per_second(m)
        rows.append(
            [
                name_of(m),
                m.setting,
                f"{m.size:,}",
                f"{m.complete:,}",
                f"{m.created_seconds:.1f}",
                f"{to_job:.1f}" if to_job else "",
                f"{completed_per_second(m):.1f}",
                f"{writes_per_object(m):.1f}",
                f"{reads_per_object(m):.1f}",
                f"{controllers_peak(m):.0f}" if controllers_peak(m) else "",
                f"{cpu_per_object(m):.0f}",
            ]
        )
    header = ("what", "limits", "N", "complete", "created in s", "to Job/s", "to Complete/s", "writes each",
              "reads each", "MiB at peak", "CPU ms each")  # fmt: skip
    return render(rows, header)


def requests(measurement: Measurement, *, reads: bool = False, least: float = 0.005) -> str:
    """Return the table of a measurement's writes or reads per object, by client and by what was asked."""
    counted = measurement.reads if reads else measurement.writes
    rows = []
    for client, each in per_object(counted, measurement.complete).items():
        parts = sorted(counted[client].items(), key=lambda item: -item[1])
        shares = [(request, number / max(measurement.complete, 1)) for request, number in parts]
        told = ", ".join(f"{request} {share:.2f}" for request, share in shares if share >= least)
        if each >= least:
            rows.append([client, f"{each:.2f}", told])
    return render(rows, ("client", "reads each" if reads else "writes each", "of which"))


def standing(measurements: Iterable[Measurement]) -> str:
    """Return the table of the operator at rest and after a restart, nothing if that was not tried."""
    rows = [
        [
            m.setting,
            f"{m.size:,}",
            f"{m.usage['operator'].peak:.0f}",
            f"{m.at_rest.resident:.0f}" if m.at_rest else "",
            f"{m.after_restart.resident:.0f}" if m.after_restart else "",
            f"{m.quiet_writes} in {m.quiet_seconds:.0f} s",
            f"{m.restart_seconds:.1f}",
            f"{m.restart_writes} in {m.quiet_seconds:.0f} s",
        ]
        for m in measurements
        if m.quiet_seconds is not None
    ]
    header = ("limits", "N", "MiB at peak", "MiB at rest", "MiB after restart", "writes at rest", "restarted in s",
              "writes after restart")  # fmt: skip
    return render(rows, header) if rows else ""


def against(measurements: Sequence[Measurement], rival: str) -> str:
    """Return how many times faster, and with how much fewer writes, ours is than a rival at the same N and limits."""
    rows = []
    for ours in (m for m in measurements if m.contestant == OURS):
        for theirs in measurements:
            if (theirs.contestant, theirs.setting, theirs.size) == (rival, ours.setting, ours.size):
                peak = controllers_peak(theirs)
                # Of one that was cut off, what is under way would count for what is complete.
                is_whole = theirs.complete == theirs.size and ours.complete == ours.size
                rows.append(
                    [
                        ours.setting,
                        f"{ours.size:,}",
                        f"{completed_per_second(ours) / completed_per_second(theirs):.1f} x",
                        f"{writes_per_object(theirs) / writes_per_object(ours):.1f} x" if is_whole else "",
                        f"{cpu_per_object(theirs) / cpu_per_object(ours):.1f} x" if is_whole else "",
                        f"{controllers_peak(ours) / peak:.2f} x" if peak else "",
                    ]
                )
    return render(rows, ("limits", "N", "objects/s", "fewer writes", "less CPU", "memory at peak")) if rows else ""
