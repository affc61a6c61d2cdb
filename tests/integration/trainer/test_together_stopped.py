"""Bots that are stopped together go on as if they had not been: in the same company, in another, or alone."""

import hashlib
import json
import logging
import os
import signal

import pytest

from tests.unit.trainer.language_model import save_tiny_gpt2
from tests.unit.trainer.test_together import make_config, make_member, run
from tweetbot_api.messages import BotOutcome
from tweetbot_trainer.fused import batch, engine
from tweetbot_trainer.interruption import Interrupted, sigterm_interrupts
from tweetbot_trainer.job_log import log_to_file
from tweetbot_trainer.member import Member
from tweetbot_trainer.pipeline import train_bot
from tweetbot_trainer.progress import NullReporter
from tweetbot_trainer.together import keeping, training
from tweetbot_trainer.tracking import NullTracker

NUM_SLOTS = 2
LENGTHS = {"ann": 4, "bob": 2, "cy": 3, "dee": 1}


class StopsAt(NullReporter):
    """Has the process stopped when its bot reports a step, or a stage."""

    def __init__(self, *, step=None, stage=None):
        self._moment = (step, stage)

    def report(self, stage, fraction, *, step=None, **_):
        if (step, None) == self._moment or (None, stage) == self._moment:
            self._moment = None
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {dropout: save_tiny_gpt2(tmp_path_factory.mktemp("tiny-gpt2"), dropout=dropout) for dropout in (0.0, 0.1)}


@pytest.fixture(autouse=True)
def two_slots(monkeypatch):
    monkeypatch.setattr(training, "num_slots", lambda *_: NUM_SLOTS)


def make_members(folder, model, names=tuple(LENGTHS), stop=None, **training_fields):
    return [
        make_member(
            folder,
            make_config(model, name, training={"seed": index, "epochs": LENGTHS[name], **training_fields}),
            reporter=stop[1] if stop and stop[0] == name else None,
        )
        for index, name in enumerate(names)
    ]  # fmt: skip


def again(members, folder):
    """Return the bots as another pod finds them."""
    folder.mkdir()
    for member in members:
        (folder / member.config.bot.name).mkdir()
    return [
        Member(
            config=member.config, store=member.store, reporter=NullReporter(), tracker=NullTracker(),
            work_dir=folder / member.config.bot.name, log_file=member.log_file,
        )
        for member in members
    ]  # fmt: skip


def stop(members, folder):
    """Return how the bots ended that did, and the names of those that were saved."""
    outcomes = {}

    def on_end(member, result):
        outcomes[member.config.bot.name] = result

    with sigterm_interrupts(), pytest.raises(Interrupted) as caught:
        training.train_together(members, folder, on_end)
    names = {member.config.bot.uid: member.config.bot.name for member in members}
    return outcomes, {names[uid] for uid in caught.value.saved}


def result_of(member):
    """Return what must not depend on how often the run was stopped."""
    metrics = [json.loads(line) for line in member.store.read_bytes("metrics.jsonl").splitlines()]
    for line in metrics:
        line.pop("tokensPerSecond", None)
    return metrics, hashlib.sha256(member.store.read_bytes("model/model.safetensors")).hexdigest()


@pytest.mark.parametrize("moment", [{"step": 5}, {"step": 15}, {"step": 20}])
def test_bots_that_are_stopped_go_on_bit_for_bit(models, tmp_path, moment):
    unbroken = make_members(tmp_path / "unbroken", models[0.0])
    run(unbroken, tmp_path)
    members = make_members(tmp_path / "stopped", models[0.0], stop=("ann", StopsAt(**moment)))

    ended, saved = stop(members, tmp_path / "base")
    assert "ann" in saved
    assert not ended.keys() & saved
    untouched = {"dee"} if moment == {"step": 5} else set()
    assert untouched.isdisjoint(saved)
    for member in members:
        assert bool(member.store.list("checkpoints/")) == (member.config.bot.name in saved)

    outcomes = run(again(members, tmp_path / "again"), tmp_path / "base")
    assert all(isinstance(outcome, BotOutcome) for outcome in outcomes.values())
    for member, want in zip(members, unbroken, strict=True):
        assert result_of(member) == result_of(want)
        assert not member.store.list("checkpoints/")


def test_with_dropout_bots_that_are_stopped_together_go_on_bit_for_bit(models, tmp_path):
    names = ("ann", "cy")
    unbroken = make_members(tmp_path / "unbroken", models[0.1], names)
    run(unbroken, tmp_path)
    members = make_members(tmp_path / "stopped", models[0.1], names, stop=("ann", StopsAt(step=10)))
    stop(members, tmp_path / "base")
    run(again(members, tmp_path / "again"), tmp_path / "base")
    assert [result_of(member) for member in members] == [result_of(member) for member in unbroken]


def test_a_bot_goes_on_bit_for_bit_in_other_company(models, tmp_path):
    (unbroken, *_) = make_members(tmp_path / "unbroken", models[0.0])
    run([unbroken, *make_members(tmp_path / "others", models[0.0], ("cy",))], tmp_path)
    members = make_members(tmp_path / "stopped", models[0.0], stop=("ann", StopsAt(step=15)))
    stop(members, tmp_path / "base")
    (ann, *_) = again(members, tmp_path / "again")
    run([*make_members(tmp_path / "new", models[0.0], ("bob", "dee")), ann], tmp_path / "base")
    assert result_of(ann) == result_of(unbroken)


def test_a_bot_that_was_stopped_in_company_goes_on_alone(models, tmp_path):
    (unbroken,) = make_members(tmp_path / "unbroken", models[0.0], ("ann",))
    train_bot(unbroken.config, unbroken.store, unbroken.reporter, unbroken.tracker, unbroken.work_dir)
    members = make_members(tmp_path / "stopped", models[0.0], stop=("ann", StopsAt(step=10)))
    stop(members, tmp_path / "base")
    (ann, *_) = again(members, tmp_path / "again")
    train_bot(ann.config, ann.store, ann.reporter, ann.tracker, ann.work_dir)
    assert_alike(ann, unbroken)


def test_a_bot_that_was_stopped_alone_goes_on_in_company(models, tmp_path):
    (unbroken,) = make_members(tmp_path / "unbroken", models[0.0], ("ann",))
    train_bot(unbroken.config, unbroken.store, unbroken.reporter, unbroken.tracker, unbroken.work_dir)
    (ann,) = make_members(tmp_path / "stopped", models[0.0], ("ann",), stop=("ann", StopsAt(step=10)))
    with sigterm_interrupts(), pytest.raises(Interrupted) as caught:
        train_bot(ann.config, ann.store, ann.reporter, ann.tracker, ann.work_dir)
    assert caught.value.has_checkpoint
    (ann,) = again([ann], tmp_path / "again")
    run([ann, *make_members(tmp_path / "new", models[0.0], ("bob", "dee"))], tmp_path / "base")
    assert_alike(ann, unbroken)


def assert_alike(member, other):
    (metrics, _), (wanted, _) = result_of(member), result_of(other)
    for name in ("loss", "heldOutLoss"):
        losses, expected = ({line["step"]: line[name] for line in lines if name in line} for lines in (metrics, wanted))
        assert losses == pytest.approx(expected, rel=1e-5)
        assert losses


def test_bots_that_were_only_to_be_measured_yet_are_not_trained_again(models, tmp_path, monkeypatch):
    members = make_members(tmp_path / "stopped", models[0.0], ("ann", "bob"), epochs=2)
    write = batch.StackedWriter.write

    def interrupted_write(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return write(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(batch.StackedWriter, "write", interrupted_write)
        ended, saved = stop(members, tmp_path / "base")
    assert (ended, saved) == ({}, {"ann", "bob"})

    monkeypatch.setattr(engine.FusedTrainer, "_step", None)
    outcomes = run(again(members, tmp_path / "again"), tmp_path / "base")
    assert all(isinstance(outcome, BotOutcome) for outcome in outcomes.values())


def test_a_bot_that_is_being_published_is_published_to_the_end(models, tmp_path):
    members = make_members(tmp_path / "stopped", models[0.0], stop=("dee", StopsAt(stage="Publishing")))
    ended, _ = stop(members, tmp_path / "base")
    assert isinstance(ended["dee"], BotOutcome)
    again_ended = run(again(members, tmp_path / "again"), tmp_path / "base")
    assert again_ended["dee"].manifest_sha256 == ended["dee"].manifest_sha256


def test_checkpoints_and_measurements_that_the_recipes_ask_for_are_made_on_the_way(models, tmp_path):
    (alone,) = make_members(tmp_path / "alone", models[0.0], ("ann",), evalSteps=4)
    train_bot(alone.config, alone.store, alone.reporter, alone.tracker, alone.work_dir)
    members = make_members(tmp_path / "together", models[0.0], ("ann", "cy"), evalSteps=4, checkpointSteps=7)
    saved = []
    for member in members:
        create = member.store.write_bytes
        member.store.write_bytes = lambda key, data, create=create: (saved.append(key), create(key, data))
    run(members, tmp_path / "base")
    assert_alike(members[0], alone)
    steps = {int(key.split("/")[1].removeprefix("step-")) for key in saved if key.startswith("checkpoints/")}
    assert steps == set(range(7, max(steps) + 1, 7))
    assert max(steps) > 7


def test_without_a_wish_checkpoints_are_made_by_the_clock(models, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(keeping, "LEAST_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(keeping, "MOST_TIME_FOR_CHECKPOINTS", 1e9)
    members = make_members(tmp_path / "together", models[0.0], ("ann", "cy"))
    with log_to_file(members[0].log_file):
        run(members, tmp_path / "base")
    assert "checkpoint saved step=" in members[0].log_file.read_text()
    assert not members[0].store.list("checkpoints/")
