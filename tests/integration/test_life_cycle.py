"""The life of a bot against a real apiserver, Job controller and garbage collector: given, when, then.

The test plays the kubelet. Every case names the state that a bot is brought to, what then happens, and what must stand
on it. That no other change of phase happens than those of `life_cycle.TRANSITIONS` is for the unit and schedule tests.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.api import Api, bots_path, wait_for
from tests.unit.operator.factories import make_failure, make_outcome
from tweetbot_api.messages import BotOutcome, Purged

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

PURGE = {"output": {"deletionPolicy": "Delete"}}
BACKGROUND = {"propagationPolicy": "Background"}


@dataclass
class Bot:
    """The bot `ann` of one namespace, in a test's hands."""

    api: Api
    namespace: str

    @property
    def status(self) -> dict[str, Any]:
        return self.api.bot(self.namespace).get("status") or {}

    @property
    def run(self) -> dict[str, Any]:
        run: dict[str, Any] = self.status.get("run") or {}
        return run

    def jobs(self) -> list[str]:
        """The bot's Jobs by kind and attempt, those that are going left out."""
        found = [job["metadata"] for job in self.api.list(self.namespace, "jobs")]
        return sorted(job["name"].split("-", 2)[2] for job in found if "deletionTimestamp" not in job)

    def reach(self, phase: str, reason: str | None = None) -> None:
        """Wait for a phase, and a reason on Ready."""

        def is_there(status: dict[str, Any]) -> bool:
            reasons = [item["reason"] for item in status.get("conditions", ()) if item["type"] == "Ready"]
            return status.get("phase") == phase and (reason is None or reasons == [reason])

        self.api.wait_for_status(self.namespace, is_there)

    def reach_job(self, name: str) -> dict[str, Any]:
        """Wait until this attempt's Job is recorded and has a pod; return the pod."""
        self.api.wait_for_status(
            self.namespace,
            lambda status: (run := status.get("run") or {}).get("jobUID") and run["jobName"].endswith(name),
        )
        return self.api.wait_for_pod(self.namespace, self.run["jobName"])

    def end(self, job: str, outcome: BotOutcome | None, exit_code: int = 0) -> None:
        self.api.end_pod(self.reach_job(job), outcome, exit_code)

    def edit(self, **spec: Any) -> None:
        self.api.edit_bot(self.namespace, spec)

    def delete_jobs(self) -> None:
        for job in self.api.list(self.namespace, "jobs"):
            path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{job['metadata']['name']}"
            self.api.call("DELETE", path, BACKGROUND)

    def clear_status(self) -> None:
        path = f"{bots_path(self.namespace)}/ann/status"
        keys = dict.fromkeys(self.status)
        self.api.call("PATCH", path, {"status": keys}, "application/merge-patch+json")

    def wait_for_ended_jobs(self) -> None:
        wait_for(lambda: all("completionTime" in job["status"] for job in self.api.list(self.namespace, "jobs")))

    def delete(self) -> None:
        self.api.call("DELETE", f"{bots_path(self.namespace)}/ann")

    def exists(self) -> bool:
        return self.api.exists(f"{bots_path(self.namespace)}/ann")


# Given


def preparing(bot: Bot) -> None:
    bot.reach_job("prepare-1")


def training(bot: Bot) -> None:
    bot.end("prepare-1", make_outcome("prepare"))
    bot.api.start_pod(bot.reach_job("train-1"))


def succeeded(bot: Bot) -> None:
    training(bot)
    bot.end("train-1", make_outcome("train"))
    bot.reach("Succeeded")
    bot.wait_for_ended_jobs()


def failed(bot: Bot) -> None:
    bot.end("prepare-1", make_failure("TooLittleText", 65), 65)
    bot.reach("Failed")


def suspended(bot: Bot) -> None:
    training(bot)
    bot.edit(suspend=True)
    bot.reach("Suspended", "Suspended")


def nothing(_: Bot) -> None:
    """A bot that was just made."""


@dataclass(frozen=True)
class Case:
    given: Callable[[Bot], None]
    when: Callable[[Bot], Any]
    phase: str
    reason: str | None = None
    holds: Callable[[Bot], bool] = lambda _: True
    spec: dict[str, Any] | None = None


def drain(bot: Bot, job: str) -> None:
    bot.api.drain_pod(bot.reach_job(job))


def drop_status_and_jobs(bot: Bot) -> None:
    bot.delete_jobs()
    wait_for(lambda: not bot.jobs())
    bot.clear_status()


def report_stored_manifest(bot: Bot) -> None:
    """Play a prepare Job that finds the run's manifest in S3."""
    bot.end(bot.run["jobName"].split("-", 2)[2], make_outcome("prepare", manifest_sha256="a" * 64))


CASES = {
    "a new bot is prepared": Case(nothing, preparing, "Preparing", "Unschedulable"),
    "a bot made suspended waits": Case(
        nothing, lambda _: None, "Suspended", "Suspended", lambda bot: bot.jobs() == [], {"suspend": True}
    ),
    "a spec that cannot be run is stalled": Case(
        nothing, lambda _: None, "Failed", "InvalidSpec", spec={"source": {"archive": {"uri": "file:///a.zip"}}}
    ),
    "a spec that is mended is run": Case(
        lambda bot: bot.reach("Failed"),
        lambda bot: bot.edit(source={"archive": {"uri": "s3://tweets/ann.zip"}}),
        "Preparing",
        spec={"source": {"archive": {"uri": "file:///a.zip"}}},
    ),
    "a prepared bot is trained": Case(
        preparing, lambda bot: bot.end("prepare-1", make_outcome("prepare")), "Training", "Unschedulable"
    ),
    "a trained bot has succeeded": Case(
        training, lambda bot: bot.end("train-1", make_outcome("train")), "Succeeded", "Succeeded"
    ),
    "a manifest that prepare finds is the end": Case(
        preparing,
        report_stored_manifest,
        "Succeeded",
        holds=lambda bot: bot.jobs() == ["prepare-1"] and bot.run["gpuSeconds"] == 0,
    ),
    "a failure for good is the end": Case(
        preparing,
        lambda bot: bot.end("prepare-1", make_failure("TooLittleText", 65), 65),
        "Failed",
        "TooLittleText",
        lambda bot: bot.jobs() == ["prepare-1"],
    ),
    "a failure that may pass is tried again": Case(
        training,
        lambda bot: bot.end("train-1", make_failure("StorageUnavailable", 171), 171),
        "Training",
        holds=lambda bot: bot.run["attempt"] == 2 and bot.run["failedAttempts"] == 1,
    ),
    "the last attempt is the end": Case(
        training,
        lambda bot: bot.end("train-1", None, 1),
        "Failed",
        "JobFailed",
        lambda bot: bot.status["failure"]["exitCode"] == 1,
        {"maxAttempts": 1},
    ),
    "a drain does not eat the only attempt": Case(
        training,
        lambda bot: drain(bot, "train-1"),
        "Training",
        holds=lambda bot: (bot.run["attempt"], bot.run["failedAttempts"], bot.run["preemptions"]) == (2, 0, 1),
        spec={"maxAttempts": 1},
    ),
    "a Job deleted by hand does not eat the only attempt": Case(
        training,
        Bot.delete_jobs,
        "Training",
        holds=lambda bot: (bot.run["attempt"], bot.run["preemptions"]) == (2, 1),
        spec={"maxAttempts": 1},
    ),
    "a run is suspended": Case(
        training,
        lambda bot: bot.edit(suspend=True),
        "Suspended",
        "Suspended",
        lambda bot: bot.jobs() == ["prepare-1"] and not bot.run.get("jobUID"),
    ),
    "a suspended run is resumed as a new attempt of the same run": Case(
        suspended,
        lambda bot: bot.edit(suspend=False),
        "Training",
        holds=lambda bot: (bot.run["attempt"], bot.run["failedAttempts"], bot.run["preemptions"]) == (2, 0, 0),
        spec={"maxAttempts": 1},
    ),
    "a run whose time is over fails and holds no pod": Case(
        training,
        lambda _: None,
        "Failed",
        "DeadlineExceeded",
        lambda bot: bot.jobs() == ["prepare-1"],
        {"activeDeadlineSeconds": 3},
    ),
    "an edit that shapes the model makes another run": Case(
        training,
        lambda bot: bot.edit(training={"epochs": 2}),
        "Preparing",
        holds=lambda bot: bot.run["number"] == 2 and bot.jobs() == ["prepare-1"],
    ),
    "an edit that does not shape it leaves the run alone": Case(
        training,
        lambda bot: bot.edit(maxAttempts=9, ttlSecondsAfterFinished=5),
        "Training",
        holds=lambda bot: bot.status["observedGeneration"] == 2 and bot.run["attempt"] == 1,
    ),
    "a failed run is run again when runID changes": Case(
        failed, lambda bot: bot.edit(runID="again"), "Preparing", holds=lambda bot: bot.run["number"] == 2
    ),
    "the Jobs of an ended run go after their time": Case(
        succeeded, lambda _: None, "Succeeded", holds=lambda bot: bot.jobs() == [], spec={"ttlSecondsAfterFinished": 2}
    ),
    "the Jobs of an ended run are deleted by hand": Case(
        succeeded, Bot.delete_jobs, "Succeeded", holds=lambda bot: bot.jobs() == []
    ),
    "the status of a run at work is cleared": Case(
        training,
        Bot.clear_status,
        "Training",
        holds=lambda bot: bot.run["attempt"] == 1 and bot.jobs() == ["prepare-1", "train-1"],
    ),
    "the status of an ended run is cleared, its Jobs still there": Case(
        succeeded,
        lambda bot: (bot.clear_status(), bot.reach_job("prepare-2"), report_stored_manifest(bot)),
        "Succeeded",
        holds=lambda bot: bot.jobs() == ["prepare-1", "prepare-2", "train-1"] and bot.run["gpuSeconds"] == 0,
    ),
    "the status of an ended run is cleared, its Jobs gone": Case(
        succeeded,
        lambda bot: (drop_status_and_jobs(bot), bot.reach_job("prepare-1"), report_stored_manifest(bot)),
        "Succeeded",
        holds=lambda bot: bot.jobs() == ["prepare-1"] and bot.status["outputs"]["manifestSHA256"] == "a" * 64,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_life_of_a_bot(api: Api, namespace: str, case: Case) -> None:
    api.create_bot(namespace, **(case.spec or {}))
    bot = Bot(api, namespace)
    case.given(bot)

    case.when(bot)

    bot.reach(case.phase, case.reason)
    wait_for(lambda: case.holds(bot))


def test_a_finished_bot_asks_for_no_gpu_whatever_is_deleted(api: Api, namespace: str) -> None:
    api.create_bot(namespace, ttlSecondsAfterFinished=1)
    bot = Bot(api, namespace)
    succeeded(bot)
    wait_for(lambda: not bot.jobs())
    before = bot.status

    bot.edit(maxAttempts=5)
    bot.reach("Succeeded")
    time.sleep(2)

    assert bot.jobs() == []
    assert bot.status["run"] == before["run"]


def test_a_bot_whose_files_go_with_it_is_gone_after_its_purge(api: Api, namespace: str) -> None:
    api.create_bot(namespace, **PURGE)
    bot = Bot(api, namespace)
    training(bot)
    assert api.bot(namespace)["metadata"]["finalizers"] == ["tweetbot.dev/purge"]

    bot.delete()
    bot.reach("Deleting")
    assert bot.exists()
    bot.end("purge-1", BotOutcome(purged=Purged(versions=3, uploads=1)))

    wait_for(lambda: not bot.exists())
    events = {event["reason"]: event["message"] for event in api.list(namespace, "events")}
    assert events["Purged"].startswith("deleted 3 versions and 1 unfinished uploads below s3://models/")
    wait_for(lambda: not any(api.list(namespace, kind) for kind in ("jobs", "pods")))


def test_a_bot_whose_purge_fails_is_let_go_by_an_annotation(api: Api, namespace: str) -> None:
    api.create_bot(namespace, **PURGE)
    bot = Bot(api, namespace)
    preparing(bot)
    bot.delete()
    bot.reach("Deleting")
    bot.end("purge-1", make_failure("StorageAccessDenied", 64), 64)
    bot.reach("Deleting", "PurgeFailed")

    annotation = {"metadata": {"annotations": {"tweetbot.dev/skip-purge": "true"}}}
    api.call("PATCH", f"{bots_path(namespace)}/ann", annotation, "application/merge-patch+json")

    wait_for(lambda: not bot.exists())


def test_the_output_cannot_move_away_from_what_is_to_be_deleted(api: Api, namespace: str) -> None:
    api.create_bot(namespace, suspend=True, **PURGE)

    with pytest.raises(Exception, match="cannot change under deletionPolicy Delete"):
        api.edit_bot(namespace, {"output": {"s3": {"bucket": "elsewhere"}}})

    api.edit_bot(namespace, {"output": {"deletionPolicy": "Retain", "s3": {"bucket": "elsewhere"}}})
