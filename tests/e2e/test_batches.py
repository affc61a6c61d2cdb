"""Many bots in few Jobs, with real pods: who shares them, who fails, who goes on when a pod is stopped."""

import time
from collections.abc import Iterator

import pytest

from demo.storage import OUTPUT_BUCKET, mismatches, split_uri
from tests.e2e.bots import PATIENCE_SECONDS, POLL_SECONDS, Bots

pytestmark = pytest.mark.e2e

GOOD = [f"bot-{number:02}" for number in range(1, 12)]
POISONED, TOO_SHORT = "poisoned", "too-short"
DATASET = "dataset/posts.jsonl"
PATIENT = {"batching": {"maxBots": 8, "windowSeconds": 200}}


@pytest.fixture(scope="module")
def crowd(bots_module: Bots) -> Iterator[Bots]:
    """Twelve bots that come together, one of which loses its dataset after it was prepared, and one without text."""
    for name in (*GOOD, POISONED):
        bots_module.upload_archive(name, posts=120)
    bots_module.upload_archive(TOO_SHORT, posts=20)
    with bots_module.operator_values(PATIENT):
        bots_module.apply_all({name: {} for name in (*GOOD, POISONED, TOO_SHORT)})
        key = find_key(bots_module, POISONED, DATASET)
        bots_module.s3.put_object(Bucket=OUTPUT_BUCKET, Key=key, Body=b"somebody else's posts")
        for name in (*GOOD, POISONED, TOO_SHORT):
            bots_module.wait_until_ended(name)
        yield bots_module


def find_key(bots: Bots, name: str, file: str) -> str:
    """Return the key of a file of a bot's run as soon as it is stored."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for key in bots.keys(OUTPUT_BUCKET, f"{bots.namespace}/{name}"):
            if key.endswith(file):
                return key
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"{name} stored no {file}")


def test_twelve_bots_are_trained_by_two_jobs(crowd: Bots) -> None:
    jobs = crowd.jobs("train")

    assert sorted(len(bots) for bots in jobs.values()) == [4, 8]
    assert sorted(name for bots in jobs.values() for name in bots) == sorted((*GOOD, POISONED))


@pytest.mark.parametrize("name", GOOD)
def test_each_bot_of_a_batch_is_complete_with_files_of_its_own(name: str, crowd: Bots) -> None:
    bot = crowd.wait_until_ended(name)

    assert bot["status"]["phase"] == "Succeeded", bot["status"].get("failure")
    assert bot["status"]["data"][0]["kept"] == 120
    outputs = bot["status"]["outputs"]
    assert f"/{name}/" in outputs["manifestURI"]
    assert mismatches(crowd.s3, outputs["manifestURI"], outputs["manifestSHA256"]) == []


def test_a_poisoned_dataset_fails_its_own_bot_with_the_reason(crowd: Bots) -> None:
    bot = crowd.wait_until_ended(POISONED)

    assert (bot["status"]["phase"], bot["status"]["failure"]["reason"]) == ("Failed", "DatasetDamaged")


def test_a_bot_with_too_little_text_asks_for_no_gpu(crowd: Bots) -> None:
    bot = crowd.wait_until_ended(TOO_SHORT)

    assert (bot["status"]["phase"], bot["status"]["failure"]["reason"]) == ("Failed", "TooLittleText")
    assert bot["status"]["run"]["gpuSeconds"] == 0
    assert not any(TOO_SHORT in bots for bots in crowd.jobs("train").values())


@pytest.mark.slow
def test_when_a_pod_is_stopped_finished_bots_keep_their_results_and_the_rest_resume(bots: Bots) -> None:
    short, long = ("eve", "fay"), ("gus", "hal")
    for name, posts in dict.fromkeys(short, 120).items() | dict.fromkeys(long, 300).items():
        bots.upload_archive(name, posts=posts)
    specs = {name: {"training": {"epochs": 2 if name in short else 50}} for name in (*short, *long)}
    with bots.operator_values(PATIENT):
        bots.apply_all(specs)
        manifests = {name: find_key(bots, name, "/manifest.json") for name in short}
        stored = {name: bots.s3.get_object(Bucket=OUTPUT_BUCKET, Key=key)["ETag"] for name, key in manifests.items()}

        (pod,) = bots.pods("tweetbots-4", "train")
        bots.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
        for name in long:
            bots.wait_until(name, lambda bot: bot["status"]["run"]["attempt"] == 2)

    ended = {name: bots.wait_until_ended(name)["status"] for name in (*short, *long)}
    assert {status["phase"] for status in ended.values()} == {"Succeeded"}
    for name in short:
        assert ended[name]["run"]["attempt"] == 1
        bucket, key = split_uri(ended[name]["outputs"]["manifestURI"])
        assert bots.s3.get_object(Bucket=bucket, Key=key)["ETag"] == stored[name]
    for name in long:
        assert (ended[name]["run"]["attempt"], ended[name]["run"]["preemptions"]) == (2, 1)
        assert "going on from a checkpoint" in bots.read_log(name, "train-2")
