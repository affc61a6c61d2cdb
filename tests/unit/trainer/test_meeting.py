"""How the processes of a training find each other, played by threads."""

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.interruption import Interrupted, sigterm_interrupts
from tweetbot_trainer.meeting import Place, meet


def make_place(rank, port, world_size=2, address="127.0.0.1"):
    return Place(rank=rank, world_size=world_size, address=address, port=port)


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_place_is_what_a_launcher_says():
    variables = {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "ann-0.train", "MASTER_PORT": "29400"}
    assert Place.from_environment(variables) == Place(rank=3, world_size=4, address="ann-0.train", port=29400)


@pytest.mark.parametrize("variables", [{}, {"WORLD_SIZE": "1"}])
def test_without_a_launcher_there_is_no_place(variables):
    assert Place.from_environment(variables) is None


def test_those_who_come_early_wait_for_the_first_and_for_the_last(port):
    with ThreadPoolExecutor(3) as processes:
        early = processes.submit(meet, make_place(1, port, world_size=3))
        time.sleep(0.3)
        first = processes.submit(meet, make_place(0, port, world_size=3))
        time.sleep(0.3)
        assert not early.done()
        assert not first.done()
        late = processes.submit(meet, make_place(2, port, world_size=3))
        stores = [process.result(30) for process in (first, early, late)]
    stores[0].set("word", "heard")
    assert [store.get("word") for store in stores] == [b"heard"] * 3


def test_the_first_says_how_many_came_when_it_waits_no_longer(port):
    with ThreadPoolExecutor(1) as processes:
        first = processes.submit(meet, make_place(0, port, world_size=3), 1.5)
        with pytest.raises(TrainerError):
            meet(make_place(1, port, world_size=3), 0.5)
        with pytest.raises(TrainerError, match="only 2 of 3 processes") as caught:
            first.result(30)
    assert caught.value.reason == Reason.PEERS_MISSING


@pytest.mark.parametrize("address", ["127.0.0.1", "there-is-none.invalid"])
def test_a_first_process_that_never_comes_is_waited_for_in_vain(port, address):
    with pytest.raises(TrainerError, match="could not be reached") as caught:
        meet(make_place(1, port, address=address), 0.3)
    assert caught.value.reason == Reason.PEERS_MISSING


@pytest.mark.parametrize("rank", [0, 1])
def test_sigterm_ends_the_waiting_at_once(port, rank):
    main = threading.main_thread().ident
    timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGTERM))
    timer.start()
    began = time.monotonic()
    with pytest.raises(Interrupted), sigterm_interrupts():
        meet(make_place(rank, port), 60)
    assert time.monotonic() - began < 30
    timer.join()
