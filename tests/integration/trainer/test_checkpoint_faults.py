"""Every request of saving and loading checkpoints fails once in every way, and from then on for good.

What was told to be complete is there afterwards, bit for bit, and never a mixture of two checkpoints. One file of each
is large enough for parts. The requests are counted in a first run, so a new one is tested by itself.
"""

from pathlib import Path

import pytest
import torch

from tests.faulty_s3 import LARGE, Fault, FaultyS3, Plan, refuse, worth_failing
from tweetbot_api.conditions import Reason
from tweetbot_api.runconfig import S3Location
from tweetbot_trainer.checkpoint import Checkpoint, Checkpoints, Part
from tweetbot_trainer.control import Control
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.s3 import open_store

STEPS = (1, 2, 3)
LASTING = {
    "dead": (refuse(503, "SlowDown"), Reason.STORAGE_UNAVAILABLE),
    "denied": (refuse(403, "AccessDenied"), Reason.STORAGE_ACCESS_DENIED),
}


class Training:
    """A training that saves a checkpoint after each step, in one bucket."""

    def __init__(self, s3: FaultyS3, work_dir: Path) -> None:
        self.s3 = s3
        self.work_dir = work_dir
        self.location = S3Location(bucket="bots", prefix="ns/bot/run", endpoint=s3.endpoint)
        self.contents: list[dict[str, bytes]] = [{}]
        """Of the bucket after so many checkpoints, without faults."""
        self.requests: dict[str, list[str]] = {}

    def open(self) -> Checkpoints:
        """Return the checkpoints as a new attempt finds them."""
        return Checkpoints(open_store(self.location), {"recipe": "a"}, self.work_dir, Control())

    def save(self, *steps: int) -> list[int]:
        """Save a checkpoint after each of the steps; return those that are said to be complete."""
        checkpoints, complete = self.open(), []
        for step in steps:
            checkpoints.begin(make_checkpoint(step))
            if checkpoints.finish():
                complete.append(step)
        return complete

    def begin(self, num_saved: int, plan: Plan | None = None) -> None:
        """Put the bucket into the state in which so many checkpoints were saved without faults."""
        self.s3.restore("bots", self.contents[num_saved])
        self.s3.follow(plan or Plan())

    def record(self) -> None:
        """Save all checkpoints and load the newest, without faults."""
        for step in STEPS:
            self.begin(step - 1)
            assert self.save(step) == [step]
            self.requests[f"save {step}"] = list(self.s3.requests)
            self.contents.append(self.s3.contents("bots"))
        self.begin(STEPS[-1])
        check_bits(self.open().newest(), STEPS[-1])
        self.requests["load"] = list(self.s3.requests)


def make_checkpoint(step: int) -> Checkpoint:
    """Return one of which no tensor and no fact is that of another step."""
    weight = torch.full((LARGE // 4,), float(step))
    return Checkpoint(
        step=step,
        shared=Part(tensors={"weight": weight}, facts={"log": f"line {step}\n"}),
        own=Part(tensors={"state": torch.arange(step)}, facts={"losses": [0.1 + step]}),
    )


def check_bits(found: Checkpoint | None, step: int) -> None:
    """The checkpoint is the one that was saved after this step."""
    assert found
    want = make_checkpoint(step)
    for part, wanted in ((found.shared, want.shared), (found.own, want.own)):
        assert part.facts == wanted.facts
        assert part.tensors.keys() == wanted.tensors.keys()
        assert all(torch.equal(tensor, wanted.tensors[name]) for name, tensor in part.tensors.items())


@pytest.fixture(scope="module")
def training(faulty_s3: FaultyS3, tmp_path_factory: pytest.TempPathFactory) -> Training:
    training = Training(faulty_s3, tmp_path_factory.mktemp("work"))
    training.record()
    return training


def test_a_checkpoint_is_stored_in_parts_and_its_manifest_last(training: Training) -> None:
    writes = [line for line in training.requests["save 1"] if line.startswith(("PUT", "POST"))]
    assert [line.split()[0] for line in writes].count("POST") == 2, "one upload in parts is begun and completed"
    assert "checkpoint.json" in writes[-1]


@pytest.mark.parametrize("step", STEPS)
def test_a_request_that_fails_once_changes_nothing_that_is_saved(
    training: Training, step: int, passing_fault: Fault
) -> None:
    requests = training.requests[f"save {step}"]
    for number in worth_failing(requests, passing_fault):
        training.begin(step - 1, Plan(passing_fault, number))
        assert training.save(step) == [step], requests[number]
        assert training.s3.contents("bots") == training.contents[step], requests[number]


def test_a_request_that_fails_once_changes_nothing_that_is_loaded(training: Training, passing_fault: Fault) -> None:
    for number in worth_failing(training.requests["load"], passing_fault):
        training.begin(STEPS[-1], Plan(passing_fault, number))
        check_bits(training.open().newest(), STEPS[-1])
        assert training.s3.contents("bots") == training.contents[-1]


@pytest.mark.parametrize(("fault", "want_reason"), LASTING.values(), ids=LASTING)
@pytest.mark.parametrize("step", STEPS)
def test_a_store_that_fails_from_some_request_on_costs_only_what_was_not_complete_by_then(
    training: Training, step: int, fault: Fault, want_reason: Reason
) -> None:
    requests = training.requests[f"save {step}"]
    for number in range(len(requests)):
        training.begin(step - 1, Plan(fault, number, is_lasting=True))
        complete = training.save(*STEPS[step - 1 :])
        with pytest.raises(TrainerError) as failure:
            training.open().newest()
        assert failure.value.reason == want_reason, requests[number]
        training.s3.follow(Plan())
        found = training.open().newest()
        assert (found.step if found else 0) == max(complete, default=step - 1), requests[number]
        if found:
            check_bits(found, found.step)


@pytest.mark.parametrize(("fault", "want_reason"), LASTING.values(), ids=LASTING)
def test_a_store_that_fails_while_a_checkpoint_is_loaded_leaves_it_for_the_next_attempt(
    training: Training, fault: Fault, want_reason: Reason
) -> None:
    for number in range(len(training.requests["load"])):
        training.begin(STEPS[-1], Plan(fault, number, is_lasting=True))
        with pytest.raises(TrainerError) as failure:
            training.open().newest()
        assert failure.value.reason == want_reason
        training.s3.follow(Plan())
        check_bits(training.open().newest(), STEPS[-1])
