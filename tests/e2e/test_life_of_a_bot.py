"""A bot from `kubectl apply` to its end, with real pods: trained, interrupted, deleted."""

import os
import signal
import subprocess
import time

import pytest

from demo.storage import mismatches, split_uri
from tests.e2e.bots import Bots

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def finished(bots_module: Bots) -> dict:
    """A bot with one GPU that ran to its end."""
    bots_module.upload_archive("alice", posts=120)
    bots_module.apply("alice", resources={"gpus": 1})
    return bots_module.wait_until_ended("alice")


def test_a_bot_is_complete_and_its_files_match_their_manifest(finished: dict, bots_module: Bots) -> None:
    status = finished["status"]

    assert status["phase"] == "Succeeded", status.get("failure")
    assert bots_module.condition(finished, "Complete")["status"] == "True"
    assert bots_module.condition(finished, "Ready")["status"] == "True"
    outputs = status["outputs"]
    assert mismatches(bots_module.s3, outputs["manifestURI"], outputs["manifestSHA256"]) == []


def test_the_published_files_are_those_that_readers_expect(finished: dict, bots_module: Bots) -> None:
    bucket, key = split_uri(finished["status"]["outputs"]["manifestURI"])
    prefix = key.rsplit("/", 1)[0]

    published = {path.removeprefix(f"{prefix}/") for path in bots_module.keys(bucket, prefix)}

    assert {"model/model.safetensors", "model/README.md", "predictions.png", "loss.png", "manifest.json"} <= published
    assert {"model/generation_config.json", "metrics.jsonl", "samples.json", "dataset/posts.jsonl"} <= published


def test_the_data_table_adds_up(finished: dict) -> None:
    (row,) = finished["status"]["data"]

    assert row["downloaded"] == row["retweets"] + row["short"] + row["kept"]
    assert row["kept"] == 120


def test_the_train_pod_got_a_gpu_from_the_scheduler(finished: dict, bots_module: Bots) -> None:
    (pod,) = bots_module.pods("alice", "train")
    (container,) = pod["spec"]["containers"]

    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["spec"]["nodeName"]
    assert finished["status"]["run"]["gpuSeconds"] > 0


def test_the_published_model_works_as_its_card_says(finished: dict, bots_module: Bots, tmp_path: object) -> None:
    from transformers import pipeline

    folder = bots_module.download_model(finished, tmp_path)

    texts = pipeline("text-generation", model=str(folder))("My dream is", num_return_sequences=2)

    assert len(texts) == 2
    assert all(text["generated_text"].startswith("My dream is") for text in texts)


def test_a_bot_outlives_the_operator_being_killed(bots: Bots) -> None:
    bots.upload_archive("bob", posts=120)
    bots.apply("bob", training={"epochs": 12})
    before = bots.wait_until("bob", lambda bot: bot["status"].get("stage") == "Training")

    os.kill(bots.operator_pid(), signal.SIGKILL)
    after = bots.wait_until_ended("bob")

    assert after["status"]["phase"] == "Succeeded", after["status"].get("failure")
    assert bots.jobs_ever_made("bob") == {"prepare": 1, "train": 1}
    assert set(before["status"]) <= set(after["status"]) | {"stage"}
    assert after["status"]["data"] == before["status"]["data"]
    assert after["status"]["run"]["startTime"] == before["status"]["run"]["startTime"]


def test_a_deleted_bot_leaves_nothing_behind(bots: Bots) -> None:
    bots.upload_archive("carol", posts=120)
    bots.apply("carol", training={"epochs": 50})
    bots.wait_until("carol", lambda bot: bot["status"].get("stage") == "Training")

    bots.kubectl("delete", "tweetbot", "carol", "--wait=true", "--timeout=30s")

    deadline = time.monotonic() + 90
    while (left := bots.names("jobs,pods,configmaps")) and time.monotonic() < deadline:
        time.sleep(1)
    assert left == []


def test_every_field_of_the_resource_is_explained(bots: Bots) -> None:
    text = bots.kubectl("explain", "tweetbot.spec", "--recursive")

    assert "handles" in text
    assert subprocess.run(
        ["kubectl", "explain", "tweetbot.spec.training.learningRate"],
        env=bots.environment.variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.count("cosine")
