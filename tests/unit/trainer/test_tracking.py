"""What is told to the client's process, and what that does with it; the real client is in the integration tests."""

import io
import json
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.factories import make_bot_identity, make_run_config
from tweetbot_api.runconfig import WandbConfig
from tweetbot_trainer import wandb_server, wandb_tracker
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.tracking import NullTracker, open_tracker, tracked_config
from tweetbot_trainer.wandb_process import Client

START = {"call": "start", "mode": "online", "open_seconds": 1.0, "id": "abc", "name": "@me-train", "job_type": "train"}


class FakeRun:
    url = "https://wandb.example/run"

    def __init__(self, calls):
        self._calls = calls
        self.summary = {}

    def __getattr__(self, name):
        return lambda *args, **options: self._calls.append((name, args, options))


@pytest.fixture
def fake_wandb(monkeypatch):
    """Put a wandb in place that only takes notes."""
    calls = []

    def init(**options):
        calls.append(("init", options))
        return FakeRun(calls)

    module = SimpleNamespace(
        calls=calls,
        init=init,
        teardown=lambda: None,
        Settings=lambda **options: options,
        Table=lambda columns, data: ("table", columns, data),
        Html=lambda text, **_: ("html", text),
        Image=lambda path: ("image", path),
    )
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


@pytest.fixture
def client(fake_wandb):
    return Client(io.StringIO())


def events(client):
    return [json.loads(line) for line in client._events.getvalue().splitlines()]


def make_tracker(tmp_path, job_kind="train", mode="online", attempt=1):
    bot = make_bot_identity(attempt=attempt)
    return open_tracker(WandbConfig(mode=mode), bot, job_kind, tmp_path, LocalStore(tmp_path / "store"))


def test_disabled_tracking_shows_nothing(tmp_path):
    assert isinstance(make_tracker(tmp_path, mode="disabled"), NullTracker)


def test_every_attempt_has_the_same_id_and_each_half_its_own(tmp_path):
    prepare, first, second = (
        make_tracker(tmp_path, kind, attempt=attempt) for kind, attempt in (("prepare", 1), ("train", 1), ("train", 2))
    )
    assert prepare._run_key != first._run_key == second._run_key


def test_a_client_that_cannot_be_started_is_only_missed(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(wandb_server, "_SERVER", wandb_server._Server())
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: (_ for _ in ()).throw(OSError("no more processes")))
    tracker = make_tracker(tmp_path)
    with caplog.at_level(logging.WARNING):
        tracker.start("@me-train", "train", {})
    tracker.log({"loss": 3.0}, 1)
    tracker.log_artifact("me", "finetuned-model", tmp_path, {})
    tracker.finish()
    assert tracker.url is None
    assert "no more processes" in caplog.text


def test_a_server_that_did_not_open_one_run_is_not_waited_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_tracker, "_unreachable", set())
    nothing = {"begin": lambda: None, "end": lambda: None}
    monkeypatch.setattr(
        wandb_tracker.WandbTracker,
        "_fork",
        lambda _: SimpleNamespace(stdin=io.StringIO(), stdout=io.StringIO(), **nothing),
    )
    modes = []
    for _ in range(2):
        tracker = make_tracker(tmp_path)
        monkeypatch.setattr(tracker, "_send", lambda call, **arguments: modes.append(arguments["mode"]))
        tracker.start("@me-train", "train", {})
        tracker._take({"event": "failed", "call": "start", "error": "no network"})
        tracker.finish()
    assert modes == ["online", "offline"]


def test_the_whole_run_is_recorded_with_the_keys_of_huggingtweets():
    config = tracked_config(make_run_config(), "pydantic")
    assert (config["handles"], config["seed_data"]) == (["thisisaito"], 7)
    assert config["run"]["training"]["epochs"] == 4
    assert set(config["versions"]) == {"pydantic"}


def test_a_run_is_opened_under_its_id_and_told_its_address(client, fake_wandb):
    client.handle(dict(START))
    ((_, options),) = fake_wandb.calls
    assert (options["id"], options["resume"], options["mode"]) == ("abc", "allow", "online")
    assert events(client) == [{"event": "open", "url": FakeRun.url}]


def test_a_run_that_cannot_be_opened_online_is_kept_offline(client, fake_wandb, monkeypatch):
    init = fake_wandb.init

    def refuse(**options):
        if options["mode"] == "online":
            raise RuntimeError("no network")
        return init(**options)

    monkeypatch.setattr(fake_wandb, "init", refuse)
    client.handle(dict(START))
    client.handle({"call": "log", "metrics": {"loss": 3.0}, "step": 1})
    client.handle({"call": "finish", "exit_code": 0})
    assert [call[0] for call in fake_wandb.calls] == ["init", "log", "finish"]
    assert events(client) == [
        {"event": "failed", "call": "start", "error": "RuntimeError: no network"},
        {"event": "open", "url": None},
    ]


def test_what_fails_is_told_and_the_rest_goes_on(client, fake_wandb):
    client.handle(dict(START))
    client.handle({"call": "log_artifact", "name": "me", "kind": "finetuned-model", "path": "nowhere", "metadata": {}})
    client.handle({"call": "log", "metrics": {"loss": 3.0}, "step": 1})
    client.handle({"call": "finish", "exit_code": 0})
    assert [call[0] for call in fake_wandb.calls] == ["init", "log", "finish"]
    assert [event["event"] for event in events(client)] == ["open", "failed"], "what is incomplete was not sent"


def test_a_run_that_is_sent_whole_is_said_to_be(client, fake_wandb):
    client.handle(dict(START))
    client.handle({"call": "finish", "exit_code": 0})
    assert events(client)[-1] == {"event": "sent"}


def test_a_preempted_run_is_marked_as_such(client, fake_wandb):
    client.handle(dict(START))
    client.handle({"call": "finish", "exit_code": 143, "is_preempted": True})
    assert [call[0] for call in fake_wandb.calls] == ["init", "mark_preempting", "finish"]


def test_samples_are_a_table_and_offline_a_page_in_which_posts_are_text(client, fake_wandb):
    results = {"call": "results", "metrics": {}, "samples": [["My", "<script>"]], "pictures": {"predictions": "p.png"}}
    client.handle(dict(START))
    client.handle(dict(results))
    client.handle({**START, "mode": "offline"})
    client.handle(dict(results))
    online, offline = (call[1][0] for call in fake_wandb.calls if call[0] == "log")
    assert online["samples"] == ("table", ["prompt", "post"], [["My", "<script>"]])
    assert online["predictions"] == ("image", "p.png")
    assert "&lt;script&gt;" in offline["samples"][1]
