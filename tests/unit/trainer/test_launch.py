import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tweetbot_api.conditions import Reason
from tweetbot_trainer import launch as launch_module
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.launch import Rendezvous, launch


@pytest.mark.parametrize(
    "environment",
    [{}, {"PET_NPROC_PER_NODE": "1"}, {"PET_NPROC_PER_NODE": "4", "RANK": "0", "WORLD_SIZE": "4"}],
    ids=["nothing asked for", "one process", "under torchrun"],
)
def test_nothing_is_started_where_nothing_is_to_start(environment):
    assert Rendezvous.from_environment(environment) is None


def test_one_pod_meets_at_a_free_port_of_its_own():
    rendezvous = Rendezvous.from_environment({"PET_NPROC_PER_NODE": "2"})
    assert rendezvous.environment_of(1) == {
        "RANK": "1",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(rendezvous.master_port),
    }


@pytest.mark.parametrize("place", [{"PET_NODE_RANK": "2"}, {"JOB_COMPLETION_INDEX": "2"}])
def test_several_pods_meet_at_the_first(place):
    environment = {"PET_NPROC_PER_NODE": "4", "PET_NNODES": "3", "PET_MASTER_ADDR": "bot-0.bot", **place}
    ours = Rendezvous.from_environment(environment).environment_of(3)
    assert (ours["RANK"], ours["LOCAL_RANK"], ours["WORLD_SIZE"]) == ("11", "3", "12")
    assert (ours["MASTER_ADDR"], ours["MASTER_PORT"]) == ("bot-0.bot", "29400")


@pytest.mark.parametrize(
    "environment", [{"PET_NPROC_PER_NODE": "two"}, {"PET_NNODES": "2"}, {"PET_NPROC_PER_NODE": "-1"}]
)
def test_an_environment_that_makes_no_sense_is_refused(environment):
    with pytest.raises(TrainerError, match="PET_") as caught:
        Rendezvous.from_environment(environment)
    assert caught.value.reason == Reason.INVALID_SPEC


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that launches two processes of a script, in which `rank` is known; no signal waits long."""
    monkeypatch.setattr(launch_module, "_SECONDS_TO_END_ALONE", 0.5)
    monkeypatch.setattr(launch_module, "_SECONDS_TO_END_AFTER_SIGTERM", 0.5)

    def launch_script(script):
        start = "import os, signal, sys, time\nrank = int(os.environ['RANK'])\n"
        command = [sys.executable, "-c", start + textwrap.dedent(script), str(tmp_path)]
        return launch(command, Rendezvous.from_environment({"PET_NPROC_PER_NODE": "2"}), os.environ)

    return launch_script


@pytest.mark.parametrize(
    ("script", "want"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(64)", 64),
        ("sys.exit(171 if rank == 1 else 0)", 171),
        ("sys.exit(170 if rank == 0 else 172)", 170),
        ("os.kill(os.getpid(), signal.SIGKILL) if rank == 1 else time.sleep(60)", 137),
        ("sys.exit(172) if rank == 1 else time.sleep(60)", 172),
        ("time.sleep(60) if rank == 1 else sys.exit(171)", 171),
        ("sys.exit(173) if rank == 0 else sys.exit(137)", 137),
    ],
    ids=[
        "all well", "the same failure", "a follower fails", "both fail: the reporter's", "killed", "reporter waits",
        "follower waits", "the reporter only lost the other",
    ],
)  # fmt: skip
def test_the_exit_code_tells_of_the_failure_and_nothing_is_left_running(run, script, want):
    assert run(script) == want


def test_a_process_that_ignores_sigterm_is_killed(run):
    script = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(171) if rank == 0 else time.sleep(60)
    """
    assert run(script) == 171


def test_sigterm_reaches_every_process(tmp_path):
    script = """
        import os, signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(170))
        open(f"{sys.argv[1]}/{os.environ['RANK']}", "w").close()
        time.sleep(60)
    """
    starter = """
        import os, sys
        from tweetbot_trainer.launch import Rendezvous, launch
        command = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
        sys.exit(launch(command, Rendezvous.from_environment({"PET_NPROC_PER_NODE": "2"}), os.environ))
    """
    launcher = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(starter), textwrap.dedent(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while len(list(tmp_path.iterdir())) < 2:
        assert launcher.poll() is None
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(timeout=30) == 170
