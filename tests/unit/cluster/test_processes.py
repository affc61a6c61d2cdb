import json
import os
import signal
from pathlib import Path

import pytest

from cluster import processes
from cluster.errors import ClusterError
from cluster.processes import Daemon


@pytest.fixture
def daemon(tmp_path):
    sleeper = Daemon("sleeper", ("sleep", "600"), tmp_path / "run", tmp_path / "logs", dies_with_parent=True)
    yield sleeper
    processes.stop(sleeper.pidfile)


def test_start_is_done_once_and_stop_ends_it(daemon):
    assert daemon.start()
    pid = daemon.pid()
    assert pid
    assert not daemon.start()
    assert daemon.pid() == pid
    processes.stop(daemon.pidfile)
    assert daemon.pid() is None
    assert processes.command_line(pid) == []


def test_a_daemon_holds_no_lock_of_the_shell_that_started_it(tmp_path, daemon):
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        daemon.start()
        held = {file.readlink() for file in Path(f"/proc/{daemon.pid()}/fd").iterdir()}
        assert tmp_path / "lock" not in held


def test_a_killed_daemon_is_started_again(daemon):
    daemon.start()
    killed = daemon.pid()
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    assert daemon.start()
    assert daemon.pid() not in {None, killed}


def test_a_changed_configuration_starts_it_anew(tmp_path, daemon):
    configuration = tmp_path / "configuration"
    configuration.write_text("one")
    configured = Daemon("sleeper", daemon.argv, daemon.run, daemon.logs, configuration=(configuration,))
    configured.start()
    first = configured.pid()
    configuration.write_text("two")
    assert configured.start()
    assert configured.pid() != first


def test_a_process_that_is_not_ours_is_left_alone(daemon):
    daemon.run.mkdir()
    daemon.pidfile.write_text(json.dumps({"pid": os.getpid(), "argv": list(daemon.argv), "digest": ""}))
    assert daemon.pid() is None
    processes.stop(daemon.pidfile)
    assert not daemon.pidfile.exists()


def test_a_daemon_that_ends_at_once_shows_its_log(tmp_path):
    failing = Daemon("failing", ("sh", "-c", "echo the reason; exit 1"), tmp_path / "run", tmp_path / "logs")
    failing.start()
    with pytest.raises(ClusterError, match=r"(?s)failing ended.*the reason"):
        failing.wait_until(lambda: False)
    processes.end([json.loads(failing.pidfile.read_text())["pid"]], grace_seconds=0)
