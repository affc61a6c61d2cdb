"""Kueue, really running: bots wait for quota and say why; one that is preempted goes on where it was."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster import kueue
from cluster.paths import Paths
from tests.e2e.bots import Bots

# Kueue has to be built and started, and five train pods run one after the other.
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1200)]
QUEUES = Path(__file__).parents[2] / "examples/kueue/queues.yaml"
QUOTA = {"cpu": 1, "memory": "4Gi", "nvidia.com/gpu": 1}
POD = {"gpus": 1, "cpu": "1", "memory": "3Gi", "queueName": "bots"}
WAITING = ["second", "third"]


@pytest.fixture(scope="module")
def queues(bots_module: Bots) -> Iterator[Bots]:
    """A queue with quota for one train Job, and bots that share none."""
    paths = Paths.from_environment()
    if bots_module.environment.variables["KUBECONFIG"] != str(paths.kubeconfig) or os.geteuid():
        pytest.skip("Kueue is installed in the local cluster only")
    kueue.install(paths)
    try:
        bots_module.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(make_queues(bots_module.namespace)))
        with bots_module.operator_values({"batching": {"maxBots": 1}}):
            yield bots_module
            bots_module.kubectl("delete", "tweetbots", "--all", "--timeout=60s")
    finally:
        kueue.remove(paths)


def make_queues(namespace: str) -> list[dict]:
    """Return the queues of the example, with quota for one Job."""
    objects = list(yaml.safe_load_all(QUEUES.read_text()))
    for thing in objects:
        if thing["kind"] == "LocalQueue":
            thing["metadata"]["namespace"] = namespace
        if thing["kind"] == "ClusterQueue":
            resources = thing["spec"]["resourceGroups"][0]["flavors"][0]["resources"]
            for resource in resources:
                resource["nominalQuota"] = QUOTA[resource["name"]]
    return objects


@pytest.fixture(scope="module")
def first_at_work(queues: Bots) -> Bots:
    """Three bots of which one has got the quota, for a long training."""
    for name in ("first", *WAITING, "urgent"):
        queues.upload_archive(name, posts=300 if name == "first" else 120)
    queues.apply("first", training={"epochs": 50}, resources=POD)
    queues.wait_until("first", lambda bot: bot["status"].get("stage") == "Training")
    for name in WAITING:
        queues.apply(name, resources=POD)
    for name in WAITING:
        queues.wait_until(name, lambda bot: "at place " in queues.condition(bot, "Ready").get("message", ""))
    return queues


@pytest.mark.parametrize("name", WAITING)
def test_a_bot_without_quota_says_in_kueues_words_what_is_missing(name: str, first_at_work: Bots) -> None:
    def is_told(bot: dict) -> bool:
        return first_at_work.condition(bot, "QuotaReserved").get("status") == "False"

    bot = first_at_work.wait_until(name, is_told)

    message = first_at_work.condition(bot, "QuotaReserved")["message"]
    assert "insufficient unused quota" in message
    assert bot["status"]["phase"] == "Queued"
    assert first_at_work.reason(bot, "Reconciling") == "Queued"
    assert message in first_at_work.condition(bot, "Reconciling")["message"]
    first = first_at_work.wait_until("first", lambda bot: True)
    assert first_at_work.condition(first, "QuotaReserved")["status"] == "True"


@pytest.fixture(scope="module")
def preempted(first_at_work: Bots) -> tuple[dict, dict]:
    """The first bot before and after one with a higher priority has come."""
    before = first_at_work.wait_until("first", lambda bot: bot["status"]["progress"].get("step", 0) > 0)
    assert before["status"]["phase"] == "Training"
    first_at_work.apply("urgent", resources=POD | {"queuePriorityClassName": "urgent"})
    after = first_at_work.wait_until("first", lambda bot: bot["status"]["run"]["preemptions"] == 1)
    return before, after


def test_a_bot_with_a_higher_priority_takes_the_place(preempted: tuple[dict, dict], first_at_work: Bots) -> None:
    before, after = preempted

    assert after["status"]["phase"] == "Queued"
    assert after["status"]["failure"]["reason"] == "Preempted"
    assert after["status"]["run"]["attempt"] == before["status"]["run"]["attempt"]
    assert after["status"]["run"]["gpuSeconds"] > 0
    urgent = first_at_work.wait_until_ended("urgent")
    assert urgent["status"]["phase"] == "Succeeded", urgent["status"].get("failure")


def test_the_preempted_bot_goes_on_from_its_checkpoint_in_the_same_attempt(
    preempted: tuple[dict, dict], first_at_work: Bots
) -> None:
    urgent = first_at_work.wait_until_ended("urgent")
    first = first_at_work.wait_until_ended("first")

    assert first["status"]["phase"] == "Succeeded", first["status"].get("failure")
    run = first["status"]["run"]
    assert (run["attempt"], run["preemptions"], run["failedAttempts"]) == (1, 1, 0)
    assert run["jobUID"] == preempted[0]["status"]["run"]["jobUID"]
    assert run["completionTime"] > urgent["status"]["run"]["completionTime"]
    assert first_at_work.jobs_ever_made("first") == {"prepare": 1, "train": 1}
    assert first_at_work.read_log("first", "train-1").count("going on from a checkpoint") == 1


@pytest.mark.parametrize("name", WAITING)
def test_those_who_waited_are_trained_in_the_end(name: str, preempted: tuple[dict, dict], first_at_work: Bots) -> None:
    bot = first_at_work.wait_until_ended(name)

    assert bot["status"]["phase"] == "Succeeded", bot["status"].get("failure")
    assert (bot["status"]["run"]["attempt"], bot["status"]["run"]["preemptions"]) == (1, 0)
