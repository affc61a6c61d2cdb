"""One measurement: N objects are created at once and followed until all are complete, or time is up."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from kubernetes.client import ApiClient
from urllib3.exceptions import HTTPError

from benchmarks.control_plane.audit import Request, count
from benchmarks.control_plane.contestant import Contestant
from benchmarks.control_plane.ours import OPERATOR, TweetBots
from benchmarks.control_plane.plane import Plane, connect
from benchmarks.control_plane.usage import Usage, read_usage
from benchmarks.control_plane.watching import watch
from tests.integration.api import Api

PARTS_OF_THE_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager")
_CREATORS = 8
_LOOK_SECONDS = 0.2
_TELL_SECONDS = 5.0
_LATE_EVENTS_SECONDS = 3.0
_WATCHER = "bench-watcher"
USER = "user"
"""Who creates the objects: its writes count, as a user's would."""


@dataclass
class Measurement:
    """What N objects took."""

    contestant: str
    setting: str
    size: int
    max_bots: int | None
    """Bots per Job at most; None for rivals."""
    complete: int = 0
    """Objects that came to their end before time was up."""
    created_seconds: float = 0.0
    """Until the last object was created; this and the next two from the first creation on."""
    jobs_seconds: float | None = None
    """Until every object had a Job; None if that was not reached."""
    seconds: float = 0.0
    """Until the last object was complete, or time was up."""
    writes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Requests that change something, by client and `verb resource`."""
    reads: dict[str, dict[str, int]] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)
    """Of each controller and part of the control plane; processor time from the first creation on."""
    quiet_seconds: float | None = None
    """How long nothing was asked of the operator; None if that was not tried."""
    quiet_writes: int | None = None
    """Writes of the operator in that time."""
    at_rest: Usage | None = None
    """The operator after that time."""
    restart_seconds: float | None = None
    """From its start until the operator watched and knew all bots."""
    restart_writes: int | None = None
    """Its writes in as long a time after that."""
    after_restart: Usage | None = None


class Follower:
    """Notes when objects get their first Job and when they are complete."""

    def __init__(self, plane: Plane, contestant: Contestant) -> None:
        self._contestant = contestant
        self.with_job: set[str] = set()
        self.complete: set[str] = set()
        self.last_job = self.last_complete = time.monotonic()
        self.trouble = ""
        plane.allow_all(_WATCHER)
        client = connect(plane.be_user(_WATCHER))
        for follow in (self._follow_jobs, self._follow_objects):
            threading.Thread(target=self._run, args=[follow, client], daemon=True).start()

    def _run(self, follow: Callable[[ApiClient], None], client: ApiClient) -> None:
        try:
            follow(client)
        except (HTTPError, RuntimeError) as error:
            # Also when the measurement is over and the apiserver goes: then nobody asks.
            self.trouble = f"a watch broke: {error}"

    def _follow_jobs(self, client: ApiClient) -> None:
        for job in watch(client, "/apis/batch/v1/jobs", metadata_only=True):
            names = set(self._contestant.objects_of(job)) - self.with_job
            if names:
                self.with_job |= names
                self.last_job = time.monotonic()

    def _follow_objects(self, client: ApiClient) -> None:
        for document in watch(client, self._contestant.collection):
            name = document["metadata"]["name"]
            if name not in self.complete and self._contestant.is_complete(document):
                self.complete.add(name)
                self.last_complete = time.monotonic()


def measure(
    plane: Plane, contestant: Contestant, measurement: Measurement, patience: float, tell: Callable[[str], None]
) -> None:
    """Create the objects, follow them, and count what was asked of the apiserver meanwhile."""
    follower = Follower(plane, contestant)
    plane.allow_all(USER)
    user = Api(connect(plane.be_user(USER)))
    time.sleep(1)
    before = _read_usage(plane, contestant)
    began = datetime.now(UTC)
    started = time.monotonic()
    with ThreadPoolExecutor(_CREATORS) as creators:
        creating = [
            creators.submit(user.call, "POST", contestant.collection, contestant.make(number))
            for number in range(measurement.size)
        ]
        _wait_until_complete(follower, measurement.size, started + patience, tell)
        for creation in creating:
            creation.cancel() or creation.result()
    measurement.complete = len(follower.complete)
    is_whole = measurement.complete == measurement.size
    measurement.seconds = (follower.last_complete if is_whole else time.monotonic()) - started
    if len(follower.with_job) >= measurement.size:
        measurement.jobs_seconds = follower.last_job - started
    time.sleep(_LATE_EVENTS_SECONDS)
    _count(plane, measurement, began)
    measurement.usage = {
        name: replace(usage, cpu_seconds=usage.cpu_seconds - before[name].cpu_seconds)
        for name, usage in _read_usage(plane, contestant).items()
    }


def _read_usage(plane: Plane, contestant: Contestant) -> dict[str, Usage]:
    parts = {name: plane.component(name) for name in PARTS_OF_THE_PLANE}
    return {name: read_usage(pid) for name, pid in {**contestant.processes(), **parts}.items()}


def _wait_until_complete(follower: Follower, size: int, deadline: float, tell: Callable[[str], None]) -> None:
    told = time.monotonic()
    while len(follower.complete) < size and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        if follower.trouble:
            raise RuntimeError(follower.trouble)
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            tell(f"{len(follower.with_job):,} with a Job, {len(follower.complete):,} of {size:,} complete")
    tell(f"{len(follower.complete):,} of {size:,} complete")


def _count(plane: Plane, measurement: Measurement, began: datetime) -> None:
    requests = [item for item in plane.requests() if item.time >= began and item.client not in {"admin", _WATCHER}]
    measurement.writes = {client: dict(counted) for client, counted in count(requests, reads=False).items()}
    measurement.reads = {client: dict(counted) for client, counted in count(requests, reads=True).items()}
    creations = [item.time for item in requests if item.client == USER and item.verb == "create"]
    if creations:
        measurement.created_seconds = (max(creations) - began).total_seconds()


def measure_standing(plane: Plane, ours: TweetBots, measurement: Measurement, seconds: float) -> None:
    """Leave the operator alone for a while, then restart it, and count its writes after each."""
    measurement.quiet_seconds = seconds
    time.sleep(seconds)
    measurement.at_rest = read_usage(ours.processes()["operator"])
    now = datetime.now(UTC)
    measurement.quiet_writes = _operators_writes(plane, now - timedelta(seconds=seconds), now)
    measurement.restart_seconds = ours.restart(measurement.size)
    time.sleep(seconds)
    measurement.restart_writes = _operators_writes(plane, now, datetime.now(UTC))
    measurement.after_restart = read_usage(ours.processes()["operator"])


def _operators_writes(plane: Plane, first: datetime, last: datetime) -> int:
    return sum(_is_operators_write(item) for item in plane.requests() if first <= item.time <= last)


def _is_operators_write(request: Request) -> bool:
    return request.client == OPERATOR and not request.is_read
