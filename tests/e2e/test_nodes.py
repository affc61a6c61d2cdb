"""One training on two nodes, played by two pods on the one that there is: DeepSpeed's ZeRO over both, one model."""

import json
import time

import pytest

from demo.storage import MODELS_BUCKET, OUTPUT_BUCKET, mismatches, split_uri, upload_folder
from tests.e2e.bots import Bots
from tests.tiny_gpt2 import save_tiny_gpt2

# Each pod takes its time to import what it needs, and both share two cores.
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]
STILL_MODEL = "tiny-gpt2-still"
RECIPE = {"seed": 7, "precision": "fp32", "epochs": 4}
POD = {"gpus": 1, "cpu": "500m", "memory": "3Gi"}


@pytest.fixture(scope="module")
def base_model(bots_module: Bots, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model without dropout: its losses do not depend on which process reads which block."""
    folder = save_tiny_gpt2(tmp_path_factory.mktemp("still"), dropout=0.0)
    upload_folder(bots_module.s3, folder, MODELS_BUCKET, STILL_MODEL)
    return {"name": f"s3://{MODELS_BUCKET}/{STILL_MODEL}"}


@pytest.fixture(scope="module")
def pair(bots_module: Bots, base_model: dict[str, str]) -> dict:
    """A bot that two processes in two pods train, each reading one block a step."""
    bots_module.upload_archive("pair", posts=120)
    training = RECIPE | {"deepspeed": {"zeroStage": 2}}
    bots_module.apply("pair", baseModel=base_model, training=training, resources=POD | {"nodes": 2})
    return bots_module.wait_until_ended("pair")


@pytest.fixture(scope="module")
def alone(bots_module: Bots, base_model: dict[str, str], pair: dict) -> dict:
    """The same bot in one process that reads two blocks a step."""
    bots_module.s3.copy_object(
        Bucket="tweets", Key=f"{bots_module.namespace}/alone.zip",
        CopySource=f"tweets/{bots_module.namespace}/pair.zip",
    )  # fmt: skip
    training = RECIPE | {"batchSize": 2}
    bots_module.apply("alone", handles=["pair"], baseModel=base_model, training=training, resources=POD)
    return bots_module.wait_until_ended("alone")


def losses(bots: Bots, bot: dict) -> list[float]:
    """Return the losses of the training's steps, as the run's metrics have them."""
    bucket, key = split_uri(bot["status"]["outputs"]["manifestURI"])
    body = bots.s3.get_object(Bucket=bucket, Key=key.replace("manifest.json", "metrics.jsonl"))["Body"].read()
    return [line["loss"] for line in map(json.loads, body.splitlines()) if "loss" in line]


def ended_pods(bots: Bots, name: str) -> list[dict]:
    """Return the pods of the train Job once they have ended: the bot knows of its result before."""
    deadline = time.monotonic() + 60
    while True:
        pods = bots.pods(name, "train")
        if all(pod["status"]["phase"] in {"Succeeded", "Failed"} for pod in pods) or time.monotonic() > deadline:
            return pods
        time.sleep(1)


def test_two_pods_train_one_model(pair: dict, bots_module: Bots) -> None:
    status = pair["status"]

    assert status["phase"] == "Succeeded", status.get("failure")
    outputs = status["outputs"]
    assert mismatches(bots_module.s3, outputs["manifestURI"], outputs["manifestSHA256"]) == []
    keys = bots_module.keys(OUTPUT_BUCKET, f"{bots_module.namespace}/pair")
    assert len([key for key in keys if key.endswith(".safetensors")]) == 1
    pods = ended_pods(bots_module, "pair")
    assert sorted(pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] for pod in pods) == ["0", "1"]
    assert {pod["status"]["phase"] for pod in pods} == {"Succeeded"}
    assert bots_module.jobs_ever_made("pair") == {"prepare": 1, "train": 1}


def test_the_gpus_of_both_pods_are_counted(pair: dict, bots_module: Bots) -> None:
    pods = bots_module.pods("pair", "train")
    assert all(pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1" for pod in pods)
    run = pair["status"]["run"]
    assert run["gpuSeconds"] > run["activeSeconds"]


def test_the_losses_are_those_of_one_process(pair: dict, alone: dict, bots_module: Bots) -> None:
    assert alone["status"]["phase"] == "Succeeded", alone["status"].get("failure")
    ours, want = losses(bots_module, pair), losses(bots_module, alone)
    assert len(want) > 3
    assert len(ours) == len(want)
    # Of an odd number of blocks the two processes read one twice, in the last step.
    assert ours[:-1] == pytest.approx(want[:-1], rel=1e-5)
    assert pair["status"]["evaluation"]["loss"] == pytest.approx(alone["status"]["evaluation"]["loss"], rel=1e-3)


def test_the_service_goes_with_the_job(pair: dict, bots_module: Bots) -> None:
    (service,) = bots_module.names("services")
    assert service.startswith("service/train-")
    bots_module.kubectl("delete", "tweetbot", "pair", "--wait=true", "--timeout=60s")
    deadline = time.monotonic() + 60
    while (left := bots_module.names("services")) and time.monotonic() < deadline:
        time.sleep(1)
    assert left == []


def test_when_one_pod_is_stopped_both_go_on_from_a_checkpoint_in_the_next_attempt(
    bots: Bots, base_model: dict[str, str]
) -> None:
    bots.upload_archive("torn", posts=240)
    training = RECIPE | {"epochs": 10, "deepspeed": {"zeroStage": 2}}
    bots.apply("torn", baseModel=base_model, training=training, resources=POD | {"nodes": 2})
    bots.wait_until("torn", lambda bot: (bot["status"].get("progress") or {}).get("step", 0) > 0)

    (second,) = [pod for pod in bots.pods("torn", "train") if pod["spec"]["hostname"].endswith("-1")]
    bots.kubectl("delete", "pod", second["metadata"]["name"], "--wait=false")
    bot = bots.wait_until_ended("torn")

    assert bot["status"]["phase"] == "Succeeded", bot["status"].get("failure")
    run = bot["status"]["run"]
    assert (run["attempt"], run["preemptions"], run["failedAttempts"]) == (2, 1, 0)
    assert run["gpuSeconds"] > run["activeSeconds"]
    assert "going on from a checkpoint" in bots.read_log("torn", "train-2")
