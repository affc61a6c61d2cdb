import hashlib
import json
from datetime import UTC, datetime

import pytest

from tests.factories import make_bot_identity
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.status import Evaluation, HandleCounts
from tweetbot_trainer.artifacts import LocalStore, RunFacts, read_output_manifest, upload_folder, write_output_manifest
from tweetbot_trainer.errors import TrainerError

OUTCOME = BotOutcome(
    data=[HandleCounts(handle="thisisaito", downloaded=596, retweets=102, short=112, kept=382)],
    evaluation=Evaluation(loss=3.5, perplexity=33.1),
    samples=["My dream is to sleep"],
)
FACTS = RunFacts(
    bot=make_bot_identity(), created_at=datetime(2026, 11, 23, tzinfo=UTC), outcome=OUTCOME, details={"seed": 7}
)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def test_what_is_written_is_read_again(store, tmp_path):
    store.write_bytes("dataset/posts.jsonl", b"old")
    store.write_bytes("dataset/posts.jsonl", b"new")
    store.download("dataset/posts.jsonl", tmp_path / "there" / "posts.jsonl")
    assert b"new" == store.read_bytes("dataset/posts.jsonl") == (tmp_path / "there" / "posts.jsonl").read_bytes()
    assert store.exists("dataset/posts.jsonl")
    assert store.uri("dataset/posts.jsonl").startswith("file:///")


def test_what_is_absent_is_none(store):
    assert store.read_bytes("nothing") is None
    assert not store.exists("nothing")
    assert store.list() == []


def test_keys_are_listed_by_prefix_without_files_half_written(store, tmp_path):
    for key in ("model/b", "model/a", "modelling", "log.txt"):
        store.write_bytes(key, b"")
    (tmp_path / "store" / ".tmp-1-x").touch()
    assert store.list("model/") == ["model/a", "model/b"]
    assert store.list() == ["log.txt", "model/a", "model/b", "modelling"]


@pytest.mark.parametrize("key", ["../outside", "a/../../b", "/etc/passwd"])
def test_a_key_cannot_lead_out_of_the_store(store, key):
    with pytest.raises(ValueError, match="below its prefix"):
        store.write_bytes(key, b"")


def test_a_folder_is_stored_file_by_file(store, tmp_path):
    (tmp_path / "run" / "files").mkdir(parents=True)
    (tmp_path / "run" / "a").write_text("a")
    (tmp_path / "run" / "files" / "b").write_text("b")
    (tmp_path / "run" / "latest").symlink_to(tmp_path / "run" / "a")
    assert upload_folder(store, tmp_path / "run", "wandb") == ["wandb/a", "wandb/files/b"]
    assert store.list() == ["wandb/a", "wandb/files/b"]


def test_the_manifest_names_every_file_with_size_and_hash(store, tmp_path):
    path = tmp_path / "README.md"
    path.write_bytes(b"# card")
    store.upload(path, "model/README.md")
    sha256 = write_output_manifest(store, {"model/README.md": path}, FACTS)
    data = store.read_bytes("manifest.json")
    assert sha256 == hashlib.sha256(data).hexdigest()
    manifest = json.loads(data)
    assert manifest["schemaVersion"] == 1
    assert manifest["createdAt"] == "2026-11-23T00:00:00Z"
    assert manifest["bot"]["uid"] == "uid-of-thisisaito"
    want = {"path": "model/README.md", "bytes": 6, "sha256": hashlib.sha256(b"# card").hexdigest()}
    assert [want] == manifest["files"]


def test_a_finished_run_is_reported_from_its_manifest(store):
    sha256 = write_output_manifest(store, {}, FACTS)
    assert OUTCOME.model_copy(update={"manifest_sha256": sha256}) == read_output_manifest(store)


def test_an_unfinished_run_has_no_outcome(store):
    assert read_output_manifest(store) is None


def test_a_manifest_is_not_written_for_a_file_that_is_not_stored(store, tmp_path):
    (tmp_path / "loss.png").touch()
    with pytest.raises(TrainerError, match=r"loss\.png") as caught:
        write_output_manifest(store, {"loss.png": tmp_path / "loss.png"}, FACTS)
    assert caught.value.reason == Reason.STORAGE_UNAVAILABLE
    assert not store.exists("manifest.json")
