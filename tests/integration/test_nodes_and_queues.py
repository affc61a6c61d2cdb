"""Jobs of several pods, and Jobs that somebody suspends, against a real apiserver and Job controller without Kueue."""

import time
from typing import Any

import pytest

from tests.integration.api import Api, wait_for
from tests.unit.operator.factories import make_failure, make_outcome

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]
QUEUED = {"resources": {"queueName": "bots", "queuePriorityClassName": "urgent"}}


def reach_train_job(api: Api, namespace: str, **spec: Any) -> str:
    """Bring a bot to its train Job; return the Job's name."""
    api.create_bot(namespace, **spec)
    status = api.wait_for_status(namespace, lambda status: (status.get("run") or {}).get("jobUID"))
    api.end_pod(api.wait_for_pod(namespace, status["run"]["jobName"]), make_outcome("prepare"))
    status = api.wait_for_status(
        namespace, lambda status: status["run"]["jobKind"] == "train" and status["run"].get("jobUID")
    )
    name: str = status["run"]["jobName"]
    return name


def pods_of(api: Api, namespace: str, job: str) -> list[dict[str, Any]]:
    pods = [pod for pod in api.list(namespace, "pods") if pod["metadata"]["name"].startswith(job)]
    return sorted(pods, key=lambda pod: pod["metadata"]["name"])


def wait_for_two_pods(api: Api, namespace: str, job: str) -> list[dict[str, Any]]:
    wait_for(lambda: len(pods_of(api, namespace, job)) == 2)
    return pods_of(api, namespace, job)


def job_path(namespace: str, job: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}"


def test_the_pods_of_a_job_are_found_by_the_names_that_they_are_told(api: Api, namespace: str) -> None:
    job = reach_train_job(api, namespace, handles=["9lives"], resources={"nodes": 2, "gpus": 0})

    pods = wait_for_two_pods(api, namespace, job)

    (service,) = api.list(namespace, "services")
    assert service["spec"]["clusterIP"] == "None"
    assert service["metadata"]["ownerReferences"][0]["name"] == job
    assert [pod["spec"]["hostname"] for pod in pods] == [f"{job}-0", f"{job}-1"]
    assert {pod["spec"]["subdomain"] for pod in pods} == {service["metadata"]["name"]}
    for pod in pods:
        variables = {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}
        assert variables["PET_MASTER_ADDR"] == f"{pods[0]['spec']['hostname']}.{service['metadata']['name']}"
        assert "JOB_COMPLETION_INDEX" in variables
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def test_one_pod_that_fails_ends_all_and_tells_why(api: Api, namespace: str) -> None:
    job = reach_train_job(api, namespace, resources={"nodes": 2, "gpus": 0})
    first, second = wait_for_two_pods(api, namespace, job)
    api.start_pod(first)
    api.keep_pod(first)

    api.end_pod(second, None, exit_code=172)

    wait_for(lambda: "deletionTimestamp" in pods_of(api, namespace, job)[0]["metadata"])
    api.end_pod(first, make_failure("PeerLost", 173), exit_code=173)
    api.let_pod_go(first)
    status = api.wait_for_status(namespace, lambda status: status["run"]["attempt"] == 2)
    assert status["failure"]["reason"] == "GPUFault"
    assert status["run"]["failedAttempts"] == 1


def test_the_first_pods_result_completes_the_run(api: Api, namespace: str) -> None:
    job = reach_train_job(api, namespace, resources={"nodes": 2, "gpus": 0})
    first, second = wait_for_two_pods(api, namespace, job)

    api.end_pod(second, None)
    api.end_pod(first, make_outcome("train"))

    api.wait_for_status(namespace, lambda status: status["phase"] == "Succeeded")


def test_a_job_that_is_stopped_and_let_go_again_is_one_attempt(api: Api, namespace: str) -> None:
    job = reach_train_job(api, namespace, **QUEUED)
    status = api.wait_for_status(namespace, lambda status: status["phase"] == "Queued")
    assert "QuotaReserved" not in {item["type"] for item in status["conditions"]}, "there is no Kueue that says so"
    api.suspend_job(job_path(namespace, job), value=False)
    pod = api.wait_for_pod(namespace, job)
    api.start_pod(pod)
    api.keep_pod(pod)
    api.wait_for_status(namespace, lambda status: status["phase"] == "Training")

    api.suspend_job(job_path(namespace, job), value=True)
    wait_for(lambda: "deletionTimestamp" in pods_of(api, namespace, job)[0]["metadata"])
    # The kubelet's last word before the pod is gone: the Job controller, which looks each second, must not take it for
    # a failure.
    api.end_pod(pod, make_failure("Interrupted", 170), exit_code=170)
    time.sleep(3)
    status = api.wait_for_status(namespace, lambda status: status["run"]["preemptions"] == 1)
    assert (status["phase"], status["failure"]["reason"]) == ("Queued", "Preempted")
    api.let_pod_go(pod)
    wait_for(lambda: not pods_of(api, namespace, job))
    api.suspend_job(job_path(namespace, job), value=False)
    pod = api.wait_for_pod(namespace, job)
    api.start_pod(pod)
    api.end_pod(pod, make_outcome("train"))

    status = api.wait_for_status(namespace, lambda status: status["phase"] == "Succeeded")
    run = status["run"]
    assert (run["jobName"], run["attempt"], run["preemptions"], run["failedAttempts"]) == (job, 1, 1, 0)
