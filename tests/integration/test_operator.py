"""The operator as a process against a real apiserver, Job controller and garbage collector; the test is the kubelet."""

import json
import time
from typing import Any

import pytest

from cluster.control_plane import ControlPlane
from tests.integration.api import Api, bots_path, wait_for
from tests.integration.operator_process import OperatorProcess
from tests.unit.operator.factories import make_failure, make_outcome
from tweetbot_api.names import PROGRESS_PATH, RESULT_PATH

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]


def wait_for_job(api: Api, namespace: str, name: str) -> dict[str, Any]:
    """Wait until status says that this attempt's Job is seen; return the status."""
    return api.wait_for_status(
        namespace, lambda status: (status.get("run") or {}).get("jobUID") and status["run"]["jobName"].endswith(name)
    )


def run_prepare(api: Api, namespace: str) -> dict[str, Any]:
    status = wait_for_job(api, namespace, "prepare-1")
    pod = api.wait_for_pod(namespace, status["run"]["jobName"])
    api.end_pod(pod, make_outcome("prepare"))
    return wait_for_job(api, namespace, "train-1")


def make_message(api: Api, namespace: str, **changes: Any) -> dict[str, Any]:
    bot = api.bot(namespace)
    run = bot["status"]["run"]
    identity = {
        "namespace": namespace,
        "name": "ann",
        "uid": bot["metadata"]["uid"],
        "runId": run["id"],
        "attempt": run["attempt"],
    }
    return {"bot": identity, "jobKind": run["jobKind"], **changes}


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((item for item in status["conditions"] if item["type"] == kind), {})


def test_a_bot_gets_a_job_and_a_manifest_that_go_with_it(api: Api, namespace: str) -> None:
    bot = api.create_bot(namespace)

    status = wait_for_job(api, namespace, "prepare-1")

    (job,) = api.list(namespace, "jobs")
    (config_map,) = api.list(namespace, "configmaps")
    assert job["metadata"]["name"] == config_map["metadata"]["name"] == status["run"]["jobName"]
    assert job["metadata"]["ownerReferences"][0]["uid"] == bot["metadata"]["uid"]
    assert config_map["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    manifest = json.loads(config_map["data"]["manifest.json"])
    assert manifest["bots"][0]["bot"]["runId"] == status["run"]["id"]
    assert "BEGIN CERTIFICATE" in config_map["data"]["operator-ca.crt"]
    pod = api.wait_for_pod(namespace, job["metadata"]["name"])
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert set(bot["metadata"]) == set(api.bot(namespace)["metadata"]), "nothing is written to the user's metadata"


def test_a_bot_is_complete_after_both_jobs(api: Api, namespace: str) -> None:
    api.create_bot(namespace)
    status = run_prepare(api, namespace)
    assert status["data"][0]["kept"] == 5

    api.end_pod(api.wait_for_pod(namespace, status["run"]["jobName"]), make_outcome("train"))

    status = api.wait_for_status(namespace, lambda status: status.get("phase") == "Succeeded")
    assert status["outputs"]["modelURI"] == f"s3://models/{namespace}/ann/{status['run']['id']}/model"
    assert status["outputs"]["manifestSHA256"] == "a" * 64
    assert condition(status, "Complete")["status"] == condition(status, "Ready")["status"] == "True"
    assert not condition(status, "Reconciling")
    assert len(api.list(namespace, "jobs")) == 2


def test_a_failure_names_its_reason_and_is_not_tried_again(api: Api, namespace: str) -> None:
    api.create_bot(namespace)
    status = wait_for_job(api, namespace, "prepare-1")
    pod = api.wait_for_pod(namespace, status["run"]["jobName"])

    api.end_pod(pod, make_failure("TooLittleText", 65, "only 17 characters are left"), 65)

    status = api.wait_for_status(namespace, lambda status: status.get("phase") == "Failed")
    failure = dict(status["failure"])
    assert failure.pop("logURI").endswith(f"/{status['run']['id']}/logs/prepare-1.txt")
    assert failure == {"reason": "TooLittleText", "message": "only 17 characters are left", "exitCode": 65}
    assert condition(status, "Failed")["reason"] == condition(status, "Ready")["reason"] == "TooLittleText"
    assert len(api.list(namespace, "jobs")) == 1
    wait_for(lambda: "TooLittleText" in {event["reason"] for event in api.list(namespace, "events")})


def test_a_failure_that_may_pass_is_tried_again(api: Api, namespace: str) -> None:
    api.create_bot(namespace)
    status = wait_for_job(api, namespace, "prepare-1")

    api.end_pod(api.wait_for_pod(namespace, status["run"]["jobName"]), make_failure("StorageUnavailable", 171), 171)

    status = wait_for_job(api, namespace, "prepare-2")
    assert status["failure"]["reason"] == "StorageUnavailable"
    assert status["run"]["attempt"] == 2


def test_what_a_pod_waits_for_stands_on_the_bot(api: Api, namespace: str) -> None:
    api.create_bot(namespace)
    status = api.wait_for_status(
        namespace,
        lambda status: condition({"conditions": [], **status}, "Reconciling").get("reason") == "Unschedulable",
    )
    pod = api.wait_for_pod(namespace, status["run"]["jobName"])

    api.hold_pod(pod, "CreateContainerConfigError", 'secret "s3-keys" not found')

    api.wait_for_status(namespace, lambda status: "s3-keys" in condition(status, "Ready")["message"])
    assert api.bot(namespace)["status"]["phase"] == "Preparing"


def test_a_pod_reports_progress_and_its_result_with_its_own_token(
    api: Api, namespace: str, operator: OperatorProcess
) -> None:
    api.create_bot(namespace)
    status = wait_for_job(api, namespace, "prepare-1")
    pod = api.wait_for_pod(namespace, status["run"]["jobName"])
    api.start_pod(pod)
    token = api.request_token(pod)
    progress = make_message(api, namespace, stage="Fetching", progress={"percent": 4})

    assert operator.post(PROGRESS_PATH, progress, token) == 200
    status = api.wait_for_status(namespace, lambda status: status.get("stage") == "Fetching")
    assert status["progress"]["percent"] == 4
    assert status["progress"]["lastHeartbeatTime"]

    result = make_message(api, namespace, outcome=make_outcome("prepare").to_wire())
    assert operator.post(RESULT_PATH, result, token) == 200
    assert api.bot(namespace)["status"]["dataset"]["tokens"] == 2000, "a result is answered only once it is stored"
    assert operator.post(RESULT_PATH, result, token) == 200
    wait_for_job(api, namespace, "train-1")
    assert operator.post(PROGRESS_PATH, progress, token) == 409
    assert operator.post(PROGRESS_PATH, progress, "stolen") == 401
    assert operator.post(PROGRESS_PATH, progress, api.request_token(pod, "kubernetes")) == 401


def test_a_killed_operator_makes_no_second_job_and_loses_nothing(
    api: Api, namespace: str, operator: OperatorProcess
) -> None:
    api.create_bot(namespace)
    before = run_prepare(api, namespace)

    operator.kill()
    api.end_pod(api.wait_for_pod(namespace, before["run"]["jobName"]), make_outcome("train"))
    operator.start()

    after = api.wait_for_status(namespace, lambda status: status.get("phase") == "Succeeded")
    assert sorted(job["metadata"]["name"].split("-", 2)[2] for job in api.list(namespace, "jobs")) == [
        "prepare-1",
        "train-1",
    ]
    assert set(before) <= set(after)
    assert after["data"] == before["data"]
    assert after["run"]["startTime"] == before["run"]["startTime"]


def test_a_job_that_is_deleted_by_hand_is_made_again_until_the_run_has_ended(api: Api, namespace: str) -> None:
    api.create_bot(namespace)
    status = wait_for_job(api, namespace, "prepare-1")
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    background = {"propagationPolicy": "Background"}
    api.call("DELETE", f"{path}/{status['run']['jobName']}", background)
    status = wait_for_job(api, namespace, "prepare-2")
    api.end_pod(api.wait_for_pod(namespace, status["run"]["jobName"]), make_failure("TooLittleText", 65), 65)
    api.wait_for_status(namespace, lambda status: status.get("phase") == "Failed")

    api.call("DELETE", f"{path}/{status['run']['jobName']}", background)
    time.sleep(2)

    assert [job for job in api.list(namespace, "jobs") if "deletionTimestamp" not in job["metadata"]] == []


def test_an_edit_starts_the_next_run_and_removes_the_former_one(api: Api, namespace: str) -> None:
    api.create_bot(namespace)
    former = run_prepare(api, namespace)

    api.edit_bot(namespace, {"runID": "again"})

    status = api.wait_for_status(namespace, lambda status: status["run"]["number"] == 2 and status["run"].get("jobUID"))
    assert "data" not in status
    assert status["observedGeneration"] == 2
    wait_for(lambda: len(api.list(namespace, "jobs")) == 1)
    assert former["run"]["id"] not in {
        label.removeprefix("run.tweetbot.dev/")
        for job in api.list(namespace, "jobs")
        for label in job["metadata"]["labels"]
    }


def test_a_deleted_bot_leaves_nothing_behind(api: Api, namespace: str) -> None:
    api.create_bot(namespace)
    run_prepare(api, namespace)

    api.call("DELETE", f"{bots_path(namespace)}/ann")

    wait_for(lambda: not any(api.list(namespace, kind) for kind in ("jobs", "configmaps", "pods")))


def test_an_invalid_spec_is_stalled_until_it_is_mended(api: Api, namespace: str) -> None:
    api.create_bot(namespace, source={"archive": {"uri": "file:///home/ann.zip"}})
    status = api.wait_for_status(namespace, lambda status: status.get("conditions"))
    assert condition(status, "Stalled")["reason"] == "InvalidSpec"
    assert "spec.source.archive.uri" in condition(status, "Ready")["message"]
    assert api.list(namespace, "jobs") == []

    api.edit_bot(namespace, {"source": {"archive": {"uri": "s3://tweets/ann.zip"}}})

    status = wait_for_job(api, namespace, "prepare-1")
    assert not condition(status, "Stalled")


def test_a_life_takes_few_writes_and_a_finished_bot_none(
    api: Api, namespace: str, operator: OperatorProcess, control_plane: ControlPlane
) -> None:
    api.create_bot(namespace)
    status = run_prepare(api, namespace)
    api.end_pod(api.wait_for_pod(namespace, status["run"]["jobName"]), make_outcome("train"))
    api.wait_for_status(namespace, lambda status: status.get("phase") == "Succeeded")
    time.sleep(1)
    written = writes_of_operator(control_plane, namespace)
    # Twelve, and that no node has room: this cluster has none.
    assert len(written) <= 13, " ".join(written)

    operator.kill()
    operator.start()
    api.edit_bot(namespace, {"handles": ["ann"]})
    time.sleep(3)

    assert writes_of_operator(control_plane, namespace) == written


def writes_of_operator(control_plane: ControlPlane, namespace: str) -> list[str]:
    lines = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    return [
        f"{line['verb']} {line['objectRef']['resource']}"
        for line in lines
        if line["user"]["username"] == "tweetbot-operator" and line.get("objectRef", {}).get("namespace") == namespace
    ]


def test_health_and_metrics_are_served(operator: OperatorProcess) -> None:
    assert operator.get("/healthz") == "ok"
    assert "tweetbot_bots{" in operator.get("/metrics")
    assert "tweetbot_acting 1.0" in operator.get("/metrics")


def test_metrics_tell_of_a_run_how_its_pod_waited_what_was_asked_for_it_and_why_it_failed(
    api: Api, namespace: str, operator: OperatorProcess
) -> None:
    told = (
        'tweetbot_runs_failed_total{reason="TooLittleText"}',
        'tweetbot_run_seconds_count{phase="Failed"}',
        'tweetbot_pod_wait_seconds_count{kind="prepare"}',
        'tweetbot_api_requests_total{code="201",method="POST",resource="jobs"}',
    )
    before = read_metrics(operator)
    api.create_bot(namespace)
    status = wait_for_job(api, namespace, "prepare-1")

    api.end_pod(api.wait_for_pod(namespace, status["run"]["jobName"]), make_failure("TooLittleText", 65), 65)

    api.wait_for_status(namespace, lambda status: status.get("phase") == "Failed")
    wait_for(lambda: all(read_metrics(operator)[series] == before.get(series, 0) + 1 for series in told))


def read_metrics(operator: OperatorProcess) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in operator.get("/metrics").splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in lines}
