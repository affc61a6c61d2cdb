"""The Hub's own client against a Hub on loopback: a push is done once, bounded, and never fails a run."""

import logging

import pytest

from tests.factories import make_run_config
from tests.hub_server import TOKEN, HubServer
from tweetbot_trainer import hub
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.hub import is_push_due, push_model

MODEL = {"README.md": b"# card", "config.json": b"{}", "model.safetensors": b"weights"}
CONFIG = make_run_config(huggingFace={"repo": "bots/ada", "private": True})


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    yield server
    server.close()


@pytest.fixture
def store(tmp_path):
    """A store that holds a published model."""
    store = LocalStore(tmp_path / "store")
    for name, data in MODEL.items():
        store.write_bytes(f"model/{name}", data)
    return store


def push(store, tmp_path, config=CONFIG):
    return push_model(config, store, tmp_path / "work", sleep=lambda _: None)


def test_the_model_folder_becomes_a_commit_and_the_push_is_noted(server, store, tmp_path):
    assert is_push_due(CONFIG, store)
    pushed = push(store, tmp_path)
    assert (pushed.url, pushed.revision, pushed.failure) == (f"{server.url}/bots/ada", "commit-1", None)
    repository = server.repositories["bots/ada"]
    assert repository.files == MODEL
    assert repository.private
    assert repository.commits == ["Publish run 0123456789"]
    assert not is_push_due(CONFIG, store)


def test_an_attempt_after_the_push_does_not_push_again(server, store, tmp_path):
    first = push(store, tmp_path)
    server.requests.clear()
    assert push(store, tmp_path / "next") == first
    assert server.requests == []


def test_a_repository_that_exists_stays_as_it_is_and_gets_a_commit(server, store, tmp_path):
    public = make_run_config(huggingFace={"repo": "bots/ada", "private": False})
    push(store, tmp_path, public)
    store.delete("huggingface.json")
    push(store, tmp_path / "again")
    assert not server.repositories["bots/ada"].private
    assert len(server.repositories["bots/ada"].commits) == 2


def test_a_hub_that_fails_for_a_while_is_tried_again(server, store, tmp_path):
    server.failures = [500, 500]
    pushed = push(store, tmp_path)
    assert pushed.failure is None
    assert server.repositories["bots/ada"].files == MODEL


def test_a_token_that_may_not_write_is_told_at_once_and_without_the_token(server, store, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with caplog.at_level(logging.INFO):
        pushed = push(store, tmp_path)
    assert "401" in pushed.failure
    assert pushed.revision is None
    assert "hf_wrong" not in pushed.failure + caplog.text
    assert sum("/api/repos/create" in line for line in server.requests) == 1
    assert is_push_due(CONFIG, store), "another attempt pushes again"


def test_a_hub_that_cannot_be_reached_is_given_up(store, tmp_path, monkeypatch, server):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "PAUSES_SECONDS", ())
    assert push(store, tmp_path).failure


def test_a_push_that_takes_too_long_is_ended(store, tmp_path, monkeypatch, server):
    monkeypatch.setattr(hub, "PUSH_SECONDS", 0.01)
    assert "within" in push(store, tmp_path).failure


def test_a_run_that_asks_for_no_push_makes_none(server, store, tmp_path):
    assert push(store, tmp_path, make_run_config()) is None
    assert not is_push_due(make_run_config(), store)
    assert server.requests == []
