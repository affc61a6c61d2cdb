import logging
import sys
from types import SimpleNamespace

import pytest

from tests.factories import make_bot_identity
from tweetbot_api.runconfig import WandbConfig
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.tracking import NullTracker, open_tracker


class FakeRun:
    url = "https://wandb.example/run"

    def __init__(self, calls):
        self.calls = calls

    def log(self, metrics, step):
        self.calls.append(("log", metrics, step))

    def log_artifact(self, artifact):
        self.calls.append(("log_artifact", artifact))

    def finish(self):
        self.calls.append(("finish",))


@pytest.fixture
def fake_wandb(monkeypatch):
    """Put a wandb in place that only takes notes; `fails` makes every call of the run an error."""
    calls = []
    module = SimpleNamespace(
        calls=calls,
        init=lambda **options: calls.append(("init", options)) or FakeRun(calls),
        Settings=lambda **options: options,
        Artifact=lambda name, kind, metadata: SimpleNamespace(
            name=name, kind=kind, metadata=metadata, add_file=lambda path: None, add_dir=lambda path: None
        ),
    )
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def make_tracker(tmp_path, job_kind="train", mode="online"):
    store = LocalStore(tmp_path / "store")
    return open_tracker(WandbConfig(mode=mode, entity="me"), make_bot_identity(), job_kind, tmp_path, store)


def test_disabled_tracking_shows_nothing(tmp_path):
    assert isinstance(make_tracker(tmp_path, mode="disabled"), NullTracker)


def test_every_attempt_resumes_the_same_run_and_each_half_has_its_own(tmp_path, fake_wandb):
    for job_kind in ("prepare", "train", "train"):
        make_tracker(tmp_path, job_kind).start("@me-train", "train", {"epochs": 4})
    options = [call[1] for call in fake_wandb.calls]
    assert options[0]["id"] != options[1]["id"] == options[2]["id"]
    assert (options[0]["resume"], options[0]["project"], options[0]["entity"]) == ("allow", "huggingtweets", "me")
    assert (options[1]["name"], options[1]["job_type"], options[1]["config"]) == ("@me-train", "train", {"epochs": 4})


def test_metrics_and_artifacts_reach_the_run(tmp_path, fake_wandb):
    tracker = make_tracker(tmp_path)
    tracker.start("@me-train", "train", {})
    tracker.log({"loss": 3.0}, 5)
    tracker.log_artifact("me", "finetuned-model", tmp_path, {"seed": 7})
    tracker.finish()
    tracker.finish()
    assert [call[0] for call in fake_wandb.calls] == ["init", "log", "log_artifact", "finish"]
    assert tracker.url == "https://wandb.example/run"


def test_a_failure_is_logged_once_and_ends_only_the_tracking(tmp_path, fake_wandb, caplog, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no network")

    monkeypatch.setattr(FakeRun, "log", fail)
    tracker = make_tracker(tmp_path)
    tracker.start("@me-train", "train", {})
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            tracker.log({"loss": 3.0}, step)
    tracker.finish()
    assert len(caplog.records) == 1
    assert "no network" in caplog.text


def test_a_run_that_cannot_be_opened_has_no_address(tmp_path, fake_wandb):
    fake_wandb.init = lambda **_: (_ for _ in ()).throw(RuntimeError("no api key"))
    tracker = make_tracker(tmp_path)
    tracker.start("@me-train", "train", {})
    tracker.log({"loss": 3.0}, 1)
    tracker.log_artifact("me", "finetuned-model", tmp_path, {})
    tracker.finish()
    assert tracker.url is None


@pytest.mark.filterwarnings("ignore")
def test_an_offline_run_is_left_in_the_store_for_wandb_sync(tmp_path, monkeypatch):
    for variable in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    tracker = make_tracker(tmp_path, mode="offline")
    tracker.start("@me-train", "train", {"epochs": 4})
    tracker.log({"loss": 3.0}, 1)
    tracker.finish()
    keys = LocalStore(tmp_path / "store").list("wandb/")
    assert any(key.startswith("wandb/offline-run-") and key.endswith(".wandb") for key in keys)
    assert tracker.url is None
