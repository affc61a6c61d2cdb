"""TweetBotBatches against a real apiserver, Job controller and garbage collector; the test ends the bots' pods."""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from kubernetes.config import new_client_from_config

from cluster.control_plane import ControlPlane
from tests.integration.api import Api, ApiError, Document, bots_path, wait_for
from tests.integration.operator_process import OperatorProcess
from tests.s3_server import running_s3_server
from tests.unit.operator.factories import make_failure, make_outcome
from tweetbot_api.names import HANDLES_PATH
from tweetbot_trainer.handle_list import load_list_manifest, run_list_job
from tweetbot_trainer.job import JobPaths

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]
TEMPLATE = {"spec": {"source": {"archive": {"uri": "s3://tweets/{handle}.zip"}}}}


def batches_path(namespace: str) -> str:
    return f"/apis/tweetbot.dev/v1alpha1/namespaces/{namespace}/tweetbotbatches"


def create_batch(api: Api, namespace: str, **spec: Any) -> Document:
    metadata = {"name": "team"}
    body = {"apiVersion": "tweetbot.dev/v1alpha1", "kind": "TweetBotBatch", "metadata": metadata}
    whole = {"template": TEMPLATE, **spec}
    return api.call("POST", f"{batches_path(namespace)}?fieldValidation=Strict", {**body, "spec": whole})


def edit_batch(api: Api, namespace: str, **spec: Any) -> None:
    api.call("PATCH", f"{batches_path(namespace)}/team", {"spec": spec}, "application/merge-patch+json")


def wait_for_batch(api: Api, namespace: str, phase: str, seconds: float = 60) -> Document:
    path = f"{batches_path(namespace)}/team"
    try:
        wait_for(lambda: api.call("GET", path)["status"].get("phase") == phase, seconds)
    except TimeoutError:
        raise AssertionError(json.dumps(api.call("GET", path)["status"], indent=1)) from None
    return api.call("GET", path)["status"]


def bots(api: Api, namespace: str) -> dict[str, Document]:
    return {bot["metadata"]["name"]: bot for bot in api.call("GET", bots_path(namespace))["items"]}


def play(api: Api, namespace: str, failing: Collection[str] = ()) -> None:
    """End every pod: each bot of its Job well, but for the failing ones, which have too little text."""
    for pod in api.list(namespace, "pods"):
        labels = pod["metadata"]["labels"]
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{labels['batch.kubernetes.io/job-name']}"
        if pod["status"]["phase"] in {"Succeeded", "Failed"} or not api.exists(path):
            continue
        bots_of_job = [owner["name"] for owner in api.call("GET", path)["metadata"]["ownerReferences"]]
        good = make_outcome(labels["tweetbot.dev/job-kind"])
        outcomes = [make_failure("TooLittleText", 65) if name in failing else good for name in bots_of_job]
        api.end_shared_pod(pod, outcomes, 65 if set(failing) & set(bots_of_job) else 0)


def wait_playing(api: Api, namespace: str, phase: str, failing: Collection[str] = (), seconds: float = 60) -> Document:
    def look() -> bool:
        play(api, namespace, failing)
        time.sleep(0.4)
        return api.call("GET", f"{batches_path(namespace)}/team")["status"].get("phase") == phase

    wait_for(look, seconds)
    return api.call("GET", f"{batches_path(namespace)}/team")["status"]


def test_a_batch_makes_its_bots_follows_them_and_tries_the_failed_again(api: Api, namespace: str) -> None:
    create_batch(api, namespace, handles=["ann", "ben", "eve"], parallelism=2)

    status = wait_playing(api, namespace, "Failed", failing={"team-ben"})

    assert set(bots(api, namespace)) == {"team-ann", "team-ben", "team-eve"}
    assert (status["bots"]["succeeded"], status["bots"]["failed"], status["percent"]) == (2, 1, 100)
    (failure,) = status["failures"]
    assert (failure["name"], failure["reason"]) == ("team-ben", "TooLittleText")
    edit_batch(api, namespace, retryFailed="more text is there")
    status = wait_playing(api, namespace, "Succeeded")
    runs = {name: bot["status"]["run"]["number"] for name, bot in bots(api, namespace).items()}
    assert runs == {"team-ann": 1, "team-ben": 2, "team-eve": 1}
    assert "failures" not in status
    assert {item["type"] for item in status["conditions"]} == {"Ready", "Complete"}


def test_a_batch_reads_its_handles_from_a_config_map(api: Api, namespace: str) -> None:
    create_batch(api, namespace, handlesFrom={"configMap": {"name": "team"}})
    wait_for_batch(api, namespace, "Pending")
    config_map = {"kind": "ConfigMap", "metadata": {"name": "team"}, "data": {"handles": "ann\nben\n"}}
    api.call("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map)

    edit_batch(api, namespace, parallelism=5)

    wait_for(lambda: set(bots(api, namespace)) == {"team-ann", "team-ben"}, 70)


def test_a_job_hands_the_handles_of_a_file_over_with_its_own_token(
    api: Api, namespace: str, operator: OperatorProcess
) -> None:
    batch = create_batch(api, namespace, handlesFrom={"csv": {"uri": "s3://lists/team.csv"}})
    wait_for(lambda: api.list(namespace, "pods"))
    (job,), (pod,) = api.list(namespace, "jobs"), api.list(namespace, "pods")
    assert job["metadata"]["labels"]["tweetbot.dev/job-kind"] == "list"
    identity = {"namespace": namespace, "name": "team", "uid": batch["metadata"]["uid"]}
    message = {"batch": identity, "jobName": job["metadata"]["name"], "handles": ["@Ann", "ben"]}

    assert operator.post(HANDLES_PATH, message, api.request_token(pod, "kubernetes")) == 401
    assert operator.post(HANDLES_PATH, message, api.request_token(pod)) == 200

    wait_for(lambda: set(bots(api, namespace)) == {"team-ann", "team-ben"})
    api.call("DELETE", f"{batches_path(namespace)}/team", {"propagationPolicy": "Foreground"})
    wait_for(lambda: not any(api.list(namespace, kind) for kind in ("jobs", "pods", "configmaps")))


@pytest.fixture
def s3_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server with a list of handles in it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with running_s3_server() as endpoint:
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        client.create_bucket(Bucket="lists")
        client.put_object(Bucket="lists", Key="team.csv", Body=b"name,account\nAnn,@ann\nBen,ben\n")
        client.close()
        yield endpoint


def test_the_trainers_reader_and_the_operator_understand_each_other(
    api: Api, namespace: str, tmp_path: Path, s3_endpoint: str
) -> None:
    template = {"spec": {**TEMPLATE["spec"], "output": {"s3": {"endpoint": s3_endpoint}}}}
    csv = {"uri": "s3://lists/team.csv", "column": "account"}
    create_batch(api, namespace, template=template, handlesFrom={"csv": csv})
    wait_for(lambda: api.list(namespace, "pods"))
    (pod,), (config_map,) = api.list(namespace, "pods"), api.list(namespace, "configmaps")
    for name, text in config_map["data"].items():
        (tmp_path / name).write_text(text)
    (tmp_path / "token").write_text(api.request_token(pod))
    paths = JobPaths(
        manifest=tmp_path / "manifest.json",
        token=tmp_path / "token",
        work_dir=tmp_path / "work",
        termination_message=tmp_path / "termination",
    )

    assert run_list_job(load_list_manifest(paths.manifest), paths) == 0

    wait_for(lambda: set(bots(api, namespace)) == {"team-ann", "team-ben"})


def test_a_killed_operator_makes_each_bot_once(
    api: Api, namespace: str, operator: OperatorProcess, control_plane: ControlPlane
) -> None:
    create_batch(api, namespace, handles=[f"user{number}" for number in range(120)], parallelism=120)
    wait_for(lambda: len(bots(api, namespace)) > 20)

    operator.kill()
    operator.start()

    wait_for(lambda: len(bots(api, namespace)) == 120)
    time.sleep(2)
    # A creation that the killed operator did not wait for has happened, and is not logged as a success.
    made = created(control_plane, namespace, "tweetbots")
    assert len(made) == len(set(made))
    assert len(made) >= 119


@pytest.mark.parametrize("policy", ["Foreground", "Background"])
def test_bots_go_with_their_batch(api: Api, namespace: str, policy: str) -> None:
    create_batch(api, namespace, handles=["ann", "ben"])
    wait_for(lambda: api.list(namespace, "jobs"))

    api.call("DELETE", f"{batches_path(namespace)}/team", {"propagationPolicy": policy})

    wait_for(lambda: not bots(api, namespace))
    wait_for(lambda: not any(api.list(namespace, kind) for kind in ("jobs", "pods", "configmaps")))
    wait_for(lambda: not api.call("GET", batches_path(namespace))["items"])


def test_a_template_cannot_change_but_the_rest_can(api: Api, namespace: str) -> None:
    create_batch(api, namespace, handles=["ann"], paused=True)

    with pytest.raises(ApiError, match="the template cannot change"):
        edit_batch(api, namespace, template={"spec": {"training": {"epochs": 2}}})
    edit_batch(api, namespace, handles=["ann", "ben"], parallelism=7, paused=False, retryFailed="1")


REFUSED = {
    "no list": ({}, "give either handles or handlesFrom"),
    "two lists": (
        {"handles": ["ann"], "handlesFrom": {"configMap": {"name": "team"}}},
        "give either handles or handlesFrom",
    ),
    "two places for the list": (
        {"handlesFrom": {"configMap": {"name": "team"}, "csv": {"uri": "s3://lists/team.csv"}}},
        "give either handlesFrom.configMap or handlesFrom.csv",
    ),
    "one archive for all": (
        {"handles": ["ann"], "template": {"spec": {"source": {"archive": {"uri": "s3://tweets/ann.zip"}}}}},
        "the archive's uri must contain {handle}",
    ),
    "one repository for all": (
        {
            "handles": ["ann"],
            "template": {
                "spec": {
                    **TEMPLATE["spec"],
                    "output": {"huggingFace": {"repo": "team/bot", "tokenSecret": {"name": "hub"}}},
                }
            },
        },
        "every bot would push to the same repository",
    ),
    "two sources": (
        {"handles": ["ann"], "template": {"spec": {"source": {**TEMPLATE["spec"]["source"], "bluesky": {}}}}},
        "give exactly one source",
    ),
}


@pytest.mark.parametrize(("spec", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_an_invalid_batch_is_refused_with_the_fix(api: Api, namespace: str, spec: dict, message: str) -> None:
    with pytest.raises(ApiError) as refusal:
        create_batch(api, namespace, **spec)

    assert message in str(refusal.value)


class Sizes:
    """Watches the batch and notes how long it is, in bytes of JSON, each time that it changes."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self._client = new_client_from_config(str(control_plane.kubeconfig))
        self._path = f"{batches_path(namespace)}?watch=true&timeoutSeconds=600"
        self.seen: list[int] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        pool = self._client.rest_client.pool_manager
        response = pool.request("GET", self._client.configuration.host + self._path, preload_content=False)
        # The apiserver may be gone before the thread is.
        with contextlib.closing(response), contextlib.suppress(urllib3.exceptions.HTTPError):
            for line in response:
                self.seen.append(len(json.dumps(json.loads(line)["object"])))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_batch_of_two_thousand_stays_small_and_trains_each_bot_once(
    api: Api, namespace: str, control_plane: ControlPlane
) -> None:
    count = 2000
    failing = {f"team-user{number}" for number in range(0, count, 40)}
    text = "\n".join(f"user{number}" for number in range(count))
    config_map = {"kind": "ConfigMap", "metadata": {"name": "team"}, "data": {"handles": text}}
    api.call("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map)
    sizes = Sizes(control_plane, namespace)

    create_batch(api, namespace, handlesFrom={"configMap": {"name": "team"}}, parallelism=640)
    status = wait_playing(api, namespace, "Failed", failing, seconds=500)

    assert status["bots"]["total"] == count
    assert (status["bots"]["succeeded"], status["bots"]["failed"]) == (count - len(failing), len(failing))
    assert len(status["failures"]) == 20
    assert len(sizes.seen) > 5
    assert max(sizes.seen) <= 16 * 1024, sizes.seen
    runs = {name: bot["status"]["run"] for name, bot in bots(api, namespace).items()}
    assert len(runs) == count
    assert {(run["number"], run["attempt"], run["preemptions"]) for run in runs.values()} == {(1, 1, 0)}
    jobs = api.list(namespace, "jobs")
    worked = Counter(
        (job["metadata"]["labels"]["tweetbot.dev/job-kind"], owner["name"])
        for job in jobs
        for owner in job["metadata"]["ownerReferences"]
    )
    trained = set(runs) - failing
    assert worked == Counter([("prepare", name) for name in runs] + [("train", name) for name in trained])
    assert len(created(control_plane, namespace, "jobs")) == len(jobs), "no Job was made and deleted again"
    assert len(created(control_plane, namespace, "tweetbots")) == count


def created(control_plane: ControlPlane, namespace: str, resource: str) -> list[str]:
    """Return the names of what was ever made, by the audit log."""
    lines = (json.loads(line) for line in control_plane.audit_log.read_text().splitlines())
    wanted = {"namespace": namespace, "resource": resource}.items()
    return [
        line["objectRef"].get("name", "")
        for line in lines
        if line["verb"] == "create"
        and wanted <= line.get("objectRef", {}).items()
        and line["responseStatus"]["code"] == 201
        and "subresource" not in line["objectRef"]
    ]
