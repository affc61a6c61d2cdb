import json
import logging

import pytest
import torch

from tweetbot_api.conditions import Reason
from tweetbot_trainer import checkpoint as checkpoint_module
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.checkpoint import Checkpoint, Checkpoints, Part, remove_checkpoints
from tweetbot_trainer.control import Control
from tweetbot_trainer.errors import TrainerError

IDENTITY = {"recipe": "a", "torch": "2"}


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def open_checkpoints(store, tmp_path):
    def open_them(store=store, **identity):
        return Checkpoints(store, {**IDENTITY, **identity}, tmp_path / "work", Control())

    return open_them


def make_checkpoint(step):
    return Checkpoint(
        step=step,
        shared=Part(tensors={"weight": torch.full((3,), float(step))}, facts={"log": f"line {step}\n"}),
        own=Part(tensors={"state": torch.arange(step)}, facts={"losses": [0.1 + step]}),
    )


def save(checkpoints, *steps):
    for step in steps:
        checkpoints.begin(make_checkpoint(step))
        assert checkpoints.finish()


def test_what_was_saved_comes_back(open_checkpoints):
    save(open_checkpoints(), 7)
    found, want = open_checkpoints().newest(), make_checkpoint(7)
    assert (found.step, found.shared.facts, found.own.facts) == (7, want.shared.facts, want.own.facts)
    assert torch.equal(found.shared.tensors["weight"], want.shared.tensors["weight"])
    assert torch.equal(found.own.tensors["state"], want.own.tensors["state"])


def test_without_a_checkpoint_there_is_none(open_checkpoints):
    assert open_checkpoints().newest() is None


def test_the_newest_two_are_kept(open_checkpoints, store):
    save(open_checkpoints(), 5, 10, 15, 20)
    assert {key.split("/")[1] for key in store.list("checkpoints/")} == {"step-00000015", "step-00000020"}
    assert open_checkpoints().newest().step == 20


def test_a_checkpoint_holds_no_pickle(open_checkpoints, store):
    save(open_checkpoints(), 5)
    assert [key.split("/")[2] for key in store.list("checkpoints/")] == [
        "checkpoint.json",
        "process-0.safetensors",
        "shared.safetensors",
    ]


def flip_last_byte(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("name", ["checkpoint.json", "process-0.safetensors", "shared.safetensors"])
@pytest.mark.parametrize("damage", [None, lambda _: b"", lambda data: data[: len(data) // 2], flip_last_byte])
def test_a_damaged_or_half_written_checkpoint_is_passed_over_for_the_one_before(open_checkpoints, store, name, damage):
    save(open_checkpoints(), 5, 10)
    key = f"checkpoints/step-00000010/{name}"
    if damage is None:
        store.delete(key)
    else:
        store.write_bytes(key, damage(store.read_bytes(key)))
    assert open_checkpoints().newest().step == 5
    assert not store.list("checkpoints/step-00000010/"), "what is newer could be mixed with what comes"


def test_hashes_in_a_manifest_do_not_help_a_file_that_is_no_safetensors(open_checkpoints, store):
    save(open_checkpoints(), 5)
    key, manifest_key = "checkpoints/step-00000005/shared.safetensors", "checkpoints/step-00000005/checkpoint.json"
    store.write_bytes(key, b"\x80\x04 a pickle")
    manifest = json.loads(store.read_bytes(manifest_key))
    manifest["sha256"]["shared.safetensors"] = checkpoint_module.file_sha256(store._path(key))
    store.write_bytes(manifest_key, json.dumps(manifest).encode())
    assert open_checkpoints().newest() is None


@pytest.mark.parametrize("other", [{"recipe": "b"}, {"torch": "3"}, {"processes": "2"}])
def test_a_checkpoint_of_another_training_is_refused_by_name(open_checkpoints, store, caplog, monkeypatch, other):
    save(open_checkpoints(), 5)
    if "processes" in other:
        monkeypatch.setattr(checkpoint_module, "world_size", lambda: 2)
        other = {}
    with caplog.at_level(logging.WARNING):
        assert open_checkpoints(**other).newest() is None
    assert f"other={next(iter(other), 'processes')}" in caplog.text
    assert not store.list("checkpoints/")


class FailingStore:
    """A store in which one kind of write fails from the n-th on."""

    def __init__(self, store, method, after):
        self._store, self._method, self._left = store, method, after

    def __getattr__(self, name):
        def fail_later(*arguments):
            self._left -= 1
            if self._left < 0:
                raise TrainerError(Reason.STORAGE_UNAVAILABLE, "S3 did not answer")
            return getattr(self._store, name)(*arguments)

        return fail_later if name == self._method else getattr(self._store, name)


@pytest.mark.parametrize(("method", "after"), [("upload", 0), ("upload", 1), ("write_bytes", 0)])
def test_a_store_that_fails_costs_the_checkpoint_and_not_the_training(open_checkpoints, store, method, after):
    save(open_checkpoints(), 5)
    failing = open_checkpoints(FailingStore(store, method, after))
    failing.begin(make_checkpoint(10))
    assert not failing.finish()
    assert open_checkpoints().newest().step == 5


def test_a_checkpoint_counts_only_once_its_upload_is_committed(open_checkpoints):
    checkpoints = open_checkpoints()
    checkpoints.begin(make_checkpoint(5))
    assert checkpoints.is_begun
    checkpoints._upload.join()
    assert not checkpoints.is_uploading
    assert open_checkpoints().newest() is None


def test_a_committed_checkpoint_is_complete_in_the_end(open_checkpoints):
    checkpoints = open_checkpoints()
    checkpoints.begin(make_checkpoint(5))
    assert checkpoints.commit()
    checkpoints.finish()
    assert open_checkpoints().newest().step == 5


def test_all_are_removed_at_the_end_and_a_failure_then_is_no_failure(open_checkpoints, store):
    save(open_checkpoints(), 5, 10)
    remove_checkpoints(FailingStore(store, "delete", 1))
    remove_checkpoints(store)
    assert not store.list("checkpoints/")
