"""W&B's own client against a server on loopback: one run over all attempts, and none that holds up a training."""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.factories import make_base_model, make_jsonl, make_run_config, make_sentences
from tests.wandb_server import WandbServer
from tweetbot_api.runconfig import RunConfig, RunManifest
from tweetbot_api.status import Evaluation
from tweetbot_trainer import lineage, wandb_server, wandb_tracker
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.job import Job, JobPaths
from tweetbot_trainer.tracking import Tracker, open_tracker

SECRET = "0" * 40
POSTS = {"thisisaito": make_sentences(20)}
LONG = 60.0
"""Seconds after which something hangs; nothing here is timed more finely."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    server = WandbServer()
    yield server
    server.close()


class Pods:
    """The pods of one run, one after the other; the store outlives them."""

    def __init__(self, folder: Path, mode: str, url: str) -> None:
        self.folder = folder
        self.store = LocalStore(folder / "store")
        self.wandb = {"mode": mode, "entity": "me", "baseURL": url}

    def start(self, kind: str, attempt: int) -> tuple[RunConfig, Tracker, Path]:
        work_dir = self.folder / f"{kind}-{attempt}"
        (work_dir / "raw").mkdir(parents=True)
        (work_dir / "raw" / "thisisaito.jsonl").write_text(json.dumps(POSTS))
        config = make_run_config(wandb=self.wandb)
        config = config.model_copy(update={"bot": config.bot.model_copy(update={"attempt": attempt})})
        tracker = open_tracker(config.wandb, config.bot, kind, work_dir, self.store)
        if kind == "prepare":
            lineage.start_preparation(config, tracker)
        else:
            lineage.start_training(config, POSTS, tracker, work_dir)
        return config, tracker, work_dir

    def publish(self, config: RunConfig, tracker: Tracker, work_dir: Path) -> None:
        (work_dir / "model").mkdir()
        (work_dir / "model" / "model.safetensors").write_bytes(b"weights")
        self.store.upload(work_dir / "model" / "model.safetensors", "model/model.safetensors")
        for name in ("predictions.png", "loss.png"):
            Image.new("RGB", (40, 30)).save(work_dir / name)
        evaluation = Evaluation(loss=2.5, perplexity=12.18)
        lineage.track_model(config, evaluation, [("My dream is", "My dream is tea")], "s3://b/m", tracker, work_dir)
        tracker.finish()


def test_the_two_runs_and_their_artifacts_are_those_of_huggingtweets(tmp_path, server):
    pods = Pods(tmp_path, "online", server.url)
    config, tracker, work_dir = pods.start("prepare", 1)
    lineage.track_preparation(config, work_dir / "raw", POSTS, tracker, work_dir)
    assert tracker.url.startswith(f"{server.url}/me/huggingtweets/runs/")
    tracker.finish()
    config, tracker, work_dir = pods.start("train", 1)
    tracker.log({"loss": 3.0}, 5)
    pods.publish(config, tracker, work_dir)

    preprocess, train = server.runs.values()
    assert (preprocess.display_name, preprocess.job_type, preprocess.exit_code) == (
        "@thisisaito-preprocess", "preprocess", 0,
    )  # fmt: skip
    assert (train.display_name, train.job_type, train.exit_code) == ("@thisisaito-train", "train", 0)
    used, logged = (server.artifacts_of(keys) for keys in (preprocess.used, preprocess.logged))
    assert used["raw-dataset"].name == "tweets-thisisaito"
    dataset = logged["train-dataset"]
    assert (dataset.name, dataset.metadata) == (
        "dataset-thisisaito", {"handles": ["thisisaito"], "seed": 7, "epochs": 4},
    )  # fmt: skip
    assert dataset.files["thisisaito.txt"].startswith(b"<|endoftext|>note")
    used, logged = (server.artifacts_of(keys) for keys in (train.used, train.logged))
    assert used["train-dataset"] is dataset, "both runs name the same version"
    assert used["pretrained-model"].name == "gpt2"
    model = logged["finetuned-model"]
    assert (model.name, model.metadata["seed"], model.is_committed) == ("thisisaito", 7, True)
    assert model.files == {"model.safetensors": b"weights"}
    assert train.series("loss") == [(5, 3)]
    assert train.summary["evaluation/loss"] == 2.5
    assert {"samples", "predictions", "loss curve"} <= set(train.summary)
    assert train.config["learningRate"]["value"] == config.training.learning_rate
    assert train.config["run"]["value"]["handles"] == ["thisisaito"]
    assert pods.store.list("wandb/") == []
    assert "secret" not in json.dumps(train.config)
    assert SECRET not in json.dumps(train.config)


def test_six_attempts_are_one_run(tmp_path, server):
    pods = Pods(tmp_path, "online", server.url)
    for attempt in range(1, 6):
        _, tracker, _ = pods.start("train", attempt)
        for step in (10 * attempt, 10 * attempt + 5):
            tracker.log({"loss": 1 / step}, step)
        tracker.interrupt()
        (run,) = server.runs.values()
        assert run.is_preempting
    config, tracker, work_dir = pods.start("train", 6)
    tracker.log({"loss": 0.01}, 100)
    pods.publish(config, tracker, work_dir)
    (run,) = server.runs.values()
    assert [step for step, _ in run.series("loss")] == [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 100]
    assert run.exit_code == 0


def test_the_client_is_imported_once_for_all_runs_of_a_job_and_knows_no_s3_keys(tmp_path, server):
    trackers = [Pods(tmp_path / name, "online", server.url).start("train", 1)[1] for name in ("ann", "ben")]
    assert all(tracker.url for tracker in trackers)
    pid = wandb_server._SERVER._process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == len(trackers)
    for process in (pid, *children):
        assert b"another secret" not in Path(f"/proc/{process}/environ").read_bytes()
    for tracker in trackers:
        tracker.finish()


def test_the_offline_parts_of_three_attempts_are_sent_as_one_run_from_elsewhere(tmp_path, server):
    pods = Pods(tmp_path / "cluster", "offline", server.url)
    for attempt in (1, 2):
        _, tracker, work_dir = pods.start("train", attempt)
        tracker.log({"loss": 1 / attempt}, attempt)
        tracker.interrupt()
        shutil.rmtree(work_dir)
        time.sleep(1)  # W&B names a part by its second.
    config, tracker, work_dir = pods.start("train", 3)
    tracker.log({"loss": 1 / 3}, 3)
    pods.publish(config, tracker, work_dir)
    assert server.runs == {}
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "cluster" / "store", elsewhere)
    shutil.rmtree(tmp_path / "cluster")

    folders = {f"WANDB_{name}_DIR": str(tmp_path / name) for name in ("CACHE", "CONFIG", "DATA")}
    parts = sorted(str(path.relative_to(elsewhere)) for path in elsewhere.glob("wandb/*run-*"))
    assert len(parts) == 3
    environment = {**os.environ, **folders, "WANDB_BASE_URL": server.url}
    subprocess.run(
        [sys.executable, "-m", "wandb", "sync", *parts],
        cwd=elsewhere, env=environment, check=True, capture_output=True, timeout=LONG,
    )  # fmt: skip
    (run,) = server.runs.values()
    assert [step for step, _ in run.series("loss")] == [1, 2, 3]
    artifacts = server.artifacts_of(run.logged)
    assert artifacts["finetuned-model"].files == {"model.safetensors": b"weights"}
    assert artifacts["train-dataset"].files["thisisaito.txt"].startswith(b"<|endoftext|>note")
    assert [kind for kind, artifact in artifacts.items() if not artifact.is_committed] == []


class BadServer:
    """Takes connections, and answers nothing or only errors."""

    def __init__(self, answer: bytes | None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while connection.recv(65536):
                if self._answer:
                    connection.sendall(self._answer)
        except OSError:
            pass

    def close(self) -> None:
        for opened in (self._socket, *self._open):
            opened.close()


ERROR_500 = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"


@pytest.fixture(params=["dead", "hangs", "errors"])
def bad_server(request, monkeypatch):
    """A server that is of no use; its address, and bounds that a test can wait for."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setattr(wandb_tracker, "OPEN_SECONDS", 3.0)
    monkeypatch.setattr(wandb_tracker, "FINISH_SECONDS", 3.0)
    server = BadServer(ERROR_500 if request.param == "errors" else None)
    if request.param == "dead":
        server.close()
    yield server.url
    server.close()


def test_a_job_ends_well_whatever_the_server_does_and_keeps_the_run_for_later(tmp_path, bad_server, caplog):
    caplog.set_level(logging.INFO)
    uri = make_jsonl(tmp_path / "a.jsonl", make_sentences(200)).as_uri()
    model = make_base_model(tmp_path / "small").as_uri()
    config = make_run_config(
        source={"files": {"uri": uri}}, baseModel={"name": model}, wandb={"mode": "online", "baseURL": bad_server}
    )
    paths = JobPaths(
        manifest=tmp_path / "manifest.json", token=tmp_path / "token", work_dir=tmp_path / "work",
        termination_message=tmp_path / "end",
    )  # fmt: skip
    store = LocalStore(tmp_path / "store")
    manifest = RunManifest(job_kind="prepare", job_name="job", bots=[config])
    started = time.monotonic()
    assert Job(manifest, paths, store_of=lambda _: store).run() == 0
    assert time.monotonic() - started < LONG
    keys = store.list()
    assert "dataset/dataset.json" in keys
    assert [key for key in keys if key.endswith(".wandb")]
    log = store.read_bytes("logs/prepare-1.txt").decode()
    assert log.count("tracking failed") == 1
    assert "wandb sync wandb/*run-*" in log
    assert SECRET not in log


def test_a_server_that_dies_during_the_training_costs_only_the_end(tmp_path, server, monkeypatch):
    monkeypatch.setattr(wandb_tracker, "FINISH_SECONDS", 3.0)
    pods = Pods(tmp_path, "online", server.url)
    config, tracker, work_dir = pods.start("train", 1)
    assert tracker.url
    server.close()
    started = time.monotonic()
    tracker.log({"loss": 3.0}, 5)
    pods.publish(config, tracker, work_dir)
    assert time.monotonic() - started < LONG
    assert [key for key in pods.store.list("wandb/") if key.endswith(".wandb")]
