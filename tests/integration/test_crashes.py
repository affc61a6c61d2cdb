"""The operator is killed (SIGKILL) after each write that the apiserver has stored, and started again: nothing is lost.

Between any two of its writes it is a new process with an empty memory. The test plays the kubelet.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.control_plane import ControlPlane
from tests.integration.api import Api, ApiError, bots_path, serve_crds
from tests.integration.deadly_proxy import DeadlyProxy
from tests.integration.operator_process import OperatorProcess, allow_one_namespace, write_settings
from tests.unit.operator.factories import make_failure, make_outcome
from tweetbot_api.messages import BotOutcome, Purged

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_SECONDS = 240


@pytest.fixture(scope="module")
def control_plane(own_control_plane: ControlPlane) -> ControlPlane:
    return own_control_plane


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Api:
    return serve_crds(control_plane)


@dataclass
class MortalOperator:
    """An operator of one namespace that dies of each write."""

    process: OperatorProcess
    proxy: DeadlyProxy
    deaths: int = 0

    def kill(self) -> None:
        self.deaths += 1
        self.process.kill()

    def revive(self) -> None:
        """Start it again if it is dead; it may die while it starts."""
        if not self.process.is_alive():
            self.process.launch()


@pytest.fixture
def start(
    control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> Iterator[Callable[..., MortalOperator]]:
    user = allow_one_namespace(api, namespace)
    path = write_settings(tmp_path, control_plane.authority, [namespace])
    with DeadlyProxy(control_plane.client(user, user)) as proxy:
        kubeconfig = tmp_path / "kubeconfig"
        proxy.write_kubeconfig(kubeconfig)

        def build(**settings: Any) -> MortalOperator:
            path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | settings))
            operator = MortalOperator(OperatorProcess(tmp_path, kubeconfig, path), proxy)
            proxy.kill = operator.kill
            started.append(operator)
            return operator

        started: list[MortalOperator] = []
        yield build
        for operator in started:
            proxy.kill = lambda: None
            operator.process.kill()


Answer = Callable[[str, str], tuple[BotOutcome, int] | None]
"""What a pod says of a bot at its end, by the bot's name and the Job's, and its exit code; None if it does not end."""


@dataclass
class Kubelet:
    """Starts each pod, and ends it the next time."""

    api: Api
    namespace: str
    answer: Answer
    started: set[str] = field(default_factory=set)

    def work(self) -> None:
        jobs = {job["metadata"]["name"]: job for job in self.api.list(self.namespace, "jobs")}
        for pod in self.api.list(self.namespace, "pods"):
            name, phase = pod["metadata"]["name"], pod["status"]["phase"]
            job = jobs.get(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])
            if job is None or phase in {"Succeeded", "Failed"} or "deletionTimestamp" in pod["metadata"]:
                continue
            try:
                if name in self.started:
                    answers = [self.answer(owner["name"], job["metadata"]["name"]) for owner in _owners(job)]
                    ends = [answer for answer in answers if answer is not None]
                    if len(ends) == len(answers):
                        self.api.end_shared_pod(pod, [told for told, _ in ends], max(code for _, code in ends))
                elif self._has_manifest(job):
                    self.api.start_pod(pod)
                    self.started.add(name)
            except ApiError:
                continue

    def _has_manifest(self, job: dict[str, Any]) -> bool:
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{job['metadata']['name']}"
        return self.api.exists(path)


def _owners(job: dict[str, Any]) -> list[dict[str, Any]]:
    owners: list[dict[str, Any]] = job["metadata"]["ownerReferences"]
    return owners


def live(operator: MortalOperator, kubelet: Kubelet, users: Callable[[], None], is_over: Callable[[], bool]) -> None:
    """Let operator, kubelet and users go on until all is over, and the operator has been quiet for a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    quiet_since, writes = time.monotonic(), -1
    while time.monotonic() < deadline:
        operator.revive()
        kubelet.work()
        users()
        if len(operator.proxy.writes) != writes:
            quiet_since, writes = time.monotonic(), len(operator.proxy.writes)
        elif is_over() and time.monotonic() - quiet_since > 5:
            return
        time.sleep(0.2)
    bots = kubelet.api.call("GET", bots_path(kubelet.namespace))["items"]
    raise AssertionError(json.dumps([bot.get("status") for bot in bots], indent=1) + operator.process.log[-3000:])


def all_jobs(api: Api, namespace: str) -> list[str]:
    return sorted(job["metadata"]["name"] for job in api.list(namespace, "jobs"))


def all_config_maps(api: Api, namespace: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in api.list(namespace, "configmaps"))


def jobs_of_pods(api: Api, namespace: str) -> set[str]:
    return {pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] for pod in api.list(namespace, "pods")}


def count_created_jobs(operator: MortalOperator, namespace: str) -> int:
    return Counter(operator.proxy.writes)[f"POST /apis/batch/v1/namespaces/{namespace}/jobs"]


@dataclass
class Users:
    """Suspend `cat` while it is trained, resume it when it rests, and delete `dan` while it is trained."""

    api: Api
    namespace: str
    cat: str = "to be suspended"
    dan: str = "to be deleted"

    def act(self) -> None:
        if self.cat == "to be suspended" and self._is_trained("cat"):
            self.api.edit_bot(self.namespace, {"suspend": True}, "cat")
            self.cat = "to be resumed"
        elif self.cat == "to be resumed" and self._rests("cat"):
            self.api.edit_bot(self.namespace, {"suspend": False}, "cat")
            self.cat = "resumed"
        if self.dan == "to be deleted" and self._is_trained("dan"):
            self.api.call("DELETE", f"{bots_path(self.namespace)}/dan")
            self.dan = "deleted"

    def _is_trained(self, name: str) -> bool:
        run = (self.api.bot(self.namespace, name).get("status") or {}).get("run") or {}
        return run.get("jobKind") == "train" and "jobUID" in run

    def _rests(self, name: str) -> bool:
        conditions = self.api.bot(self.namespace, name)["status"]["conditions"]
        return ("Suspended", "True") in {(item["type"], item["status"]) for item in conditions}


def answer_for_each(bot: str, job: str) -> tuple[BotOutcome, int] | None:
    kind, attempt = job.rsplit("-", 2)[1:]
    if kind == "purge":
        return BotOutcome(purged=Purged(versions=3, uploads=0)), 0
    if (kind, attempt) == ("train", "1") and bot in {"cat", "dan"}:
        return None
    if (kind, attempt) == ("train", "1") and bot == "ben":
        return make_failure("StorageUnavailable", 171), 171
    return make_outcome(kind), 0


def test_a_bot_is_made_retried_suspended_and_deleted_by_operators_that_die_of_each_write(
    api: Api, namespace: str, start: Callable[..., MortalOperator]
) -> None:
    def is_over() -> bool:
        bots = {bot["metadata"]["name"]: bot["status"] for bot in api.call("GET", bots_path(namespace))["items"]}
        return set(bots) == {"ann", "ben", "cat"} and {status["phase"] for status in bots.values()} == {"Succeeded"}

    operator = start(batching={"maxBots": 1})
    for name in ("ann", "ben", "cat"):
        api.create_bot(namespace, name)
    api.create_bot(namespace, "dan", output={"deletionPolicy": "Delete"})

    live(operator, Kubelet(api, namespace, answer_for_each), Users(api, namespace).act, is_over)

    runs = {name: api.bot(namespace, name)["status"]["run"] for name in ("ann", "ben", "cat")}
    counts = {name: (run["attempt"], run["failedAttempts"], run["preemptions"]) for name, run in runs.items()}
    print(f"{operator.deaths} deaths, {len(operator.proxy.writes)} writes: {counts}")
    assert counts == {"ann": (1, 0, 0), "ben": (2, 1, 0), "cat": (2, 0, 0)}
    left = [f"{name.split('-')[0]} {name.split('-', 2)[2]}" for name in all_jobs(api, namespace)]
    assert left == [
        "ann prepare-1", "ann train-1", "ben prepare-1", "ben train-1", "ben train-2", "cat prepare-1", "cat train-2",
    ]  # fmt: skip
    assert all_config_maps(api, namespace) == all_jobs(api, namespace)
    assert jobs_of_pods(api, namespace) <= set(all_jobs(api, namespace))
    assert operator.deaths > 30
    # Three of ann, ben and cat each but ann's two, and dan's prepare, train and purge.
    assert count_created_jobs(operator, namespace) == 11


def test_bots_that_share_their_jobs_are_each_trained_once_by_operators_that_die_of_each_write(
    api: Api, namespace: str, start: Callable[..., MortalOperator]
) -> None:
    names = ["ann", "ben", "cat", "dan"]
    operator = start(batching={"maxBots": 4})
    kubelet = Kubelet(api, namespace, lambda bot, job: (make_outcome("train" if "train" in job else "prepare"), 0))
    for name in names:
        api.create_bot(namespace, name)

    def is_over() -> bool:
        return all((api.bot(namespace, name).get("status") or {}).get("phase") == "Succeeded" for name in names)

    live(operator, kubelet, lambda: None, is_over)

    jobs = api.list(namespace, "jobs")
    assert operator.deaths > 10
    print(f"{operator.deaths} deaths, {len(jobs)} Jobs of {[len(_owners(job)) for job in jobs]} bots")
    for kind in ("prepare", "train"):
        owners = [
            owner["name"]
            for job in jobs
            if job["metadata"]["labels"]["tweetbot.dev/job-kind"] == kind
            for owner in _owners(job)
        ]
        assert sorted(owners) == names
    assert {api.bot(namespace, name)["status"]["run"]["attempt"] for name in names} == {1}
    assert count_created_jobs(operator, namespace) == len(jobs)
    assert all_config_maps(api, namespace) == all_jobs(api, namespace)
