import pytest

from tweetbot_trainer.artifacts import LocalStore, StoredFile, upload_folder


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


def test_a_file_is_created_only_once(store):
    assert store.create("manifest.json", b"first")
    assert not store.create("manifest.json", b"second")
    assert store.read_bytes("manifest.json") == b"first"
    assert store.list() == ["manifest.json"]


def test_a_copy_is_told_from_another_file_of_the_same_size(store, tmp_path):
    (tmp_path / "a").write_bytes(b"weights")
    store.upload(tmp_path / "a", "model/a")
    assert store.files() == {"model/a": StoredFile(bytes=7)}
    assert store.holds("model/a", tmp_path / "a", store.files()["model/a"])
    store.write_bytes("model/a", b"WEIGHTS")
    assert not store.holds("model/a", tmp_path / "a", store.files()["model/a"])


def test_what_an_earlier_process_left_half_written_is_removed(store, tmp_path):
    store.write_bytes("model/a", b"")
    (tmp_path / "store" / "model" / ".tmp-1-x").touch()
    store.discard_unfinished()
    assert [path.name for path in (tmp_path / "store" / "model").iterdir()] == ["a"]


def test_a_deleted_file_is_gone_and_may_be_deleted_again(store):
    store.write_bytes("manifest.json", b"")
    store.delete("manifest.json")
    store.delete("manifest.json")
    assert store.list() == []
