"""Hostile files are refused at once, with a reason, in little memory, and leave nothing behind anywhere.

They are read in a process of its own, whose address space is limited, as `tweetbot inspect` reads them.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.hostile_files import HOSTILE

HANDLE = "thisisaito"
REASONS = {"HandleMismatch", "IdsWithoutText", "SourceEmpty", "SourceUnreadable"}
READER = r"""
import json, re, resource, signal, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, resource.RLIM_INFINITY))
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.inspection import inspect_file
for path in sys.stdin.read().splitlines():
    signal.alarm(60)
    start = time.process_time()
    try:
        inspect_file(Path(path), "thisisaito", kept_file=Path("kept"))
        reason, message = "read", ""
    except TrainerError as error:
        reason, message = error.reason, error.message
    # Not the clock on the wall, by which a file takes as long as the machine is busy.
    seconds = time.process_time() - start
    # Not ru_maxrss: it begins with what the parent held.
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024
    print(json.dumps({"reason": reason, "message": message, "seconds": seconds, "peak_mib": peak}), flush=True)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return what became of each file, and what has changed around them, as far up as a name climbs."""
    world = tmp_path_factory.mktemp("world")
    files, room, home = world / "files", world / "run" / "room", world / "home"
    for folder in (files, room, home):
        folder.mkdir(parents=True)
    paths = []
    for number, (name, write) in enumerate(HOSTILE.values()):
        folder = files / str(number)
        folder.mkdir()
        content = write(folder)
        (folder / name).write_bytes(content)
        paths.append(folder / name)
    before = look_around(world, room)
    search_path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", READER],
        input="\n".join(map(str, paths)),
        cwd=room,
        env={**os.environ, "TMPDIR": str(room), "HOME": str(home), "PYTHONPATH": search_path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=250,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(HOSTILE, found, strict=True)), before ^ look_around(world, room)


def look_around(world, room):
    """Return all that there is, and when it was changed; not of the room, where what is read lies for a while."""
    return {(path, path.stat().st_mtime_ns) for path in (world, *world.rglob("*")) if path != room}


def test_there_are_more_than_fifty():
    assert len(HOSTILE) > 50


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_a_reason(results, name):
    found = results[0][name]
    assert found["reason"] in REASONS, found
    assert 10 < len(found["message"]) < 500
    assert "private" not in found["message"]


def test_reading_each_of_them_takes_two_seconds_at_most(results):
    assert {name: found["seconds"] for name, found in results[0].items() if found["seconds"] > 2} == {}


def test_nothing_is_written_anywhere(results):
    assert results[1] == set()


def test_reading_them_all_takes_little_memory(results):
    assert max(found["peak_mib"] for found in results[0].values()) <= 512
