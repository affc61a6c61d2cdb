"""Replicas, takeover, and an upgrade with bots at work."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.control_plane import ControlPlane
from tests.integration.api import Api, serve_crds, wait_for
from tests.integration.deadly_proxy import DeadlyProxy
from tests.integration.operator_process import OperatorProcess, allow_one_namespace, write_settings
from tests.unit.operator.factories import make_outcome

pytestmark = pytest.mark.integration


@pytest.fixture
def replicas(control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path) -> Iterator[list[OperatorProcess]]:
    """Two replicas of one operator for one namespace, not started yet."""
    user = allow_one_namespace(api, namespace)
    kubeconfig = tmp_path / "kubeconfig"
    control_plane.client(user, user).write_kubeconfig(kubeconfig)
    found = []
    for number in (1, 2):
        folder = tmp_path / f"replica-{number}"
        folder.mkdir()
        path = write_settings(folder, control_plane.authority, [namespace])
        settings = yaml.safe_load(path.read_text())
        settings["lease"]["name"] = f"operator-of-{namespace}"
        path.write_text(yaml.safe_dump(settings))
        found.append(OperatorProcess(folder, kubeconfig, path, identity=f"replica-{number}"))
    yield found
    for replica in found:
        replica.kill()


def holder(api: Api, namespace: str) -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/default/leases/operator-of-{namespace}"
    return str(api.call("GET", path)["spec"]["holderIdentity"])


def writes_to_bots(control_plane: ControlPlane, namespace: str) -> list[str]:
    """Return what the namespace's own replicas wrote; the operator of the whole cluster may be at work here too."""
    lines = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    return [
        f"{line['verb']} {line['objectRef']['resource']}/{line['objectRef'].get('subresource', '')}"
        for line in lines
        if line["user"]["username"] == f"operator-of-{namespace}"
        and line.get("objectRef", {}).get("namespace") == namespace
    ]


def test_a_standby_takes_over_from_one_that_ends_and_from_one_that_dies(
    api: Api, namespace: str, replicas: list[OperatorProcess]
) -> None:
    one, two = replicas
    one.start()
    two.start(acts=False)
    assert "tweetbot_bots{" not in two.get("/metrics")
    assert "tweetbot_acting 1.0" in one.get("/metrics")
    assert "tweetbot_acting 0.0" in two.get("/metrics")
    api.create_bot(namespace)
    status = api.wait_for_status(namespace, lambda status: (status.get("run") or {}).get("jobUID"))
    job = status["run"]["jobName"]

    assert one.stop() == 0
    wait_for(two.acts)
    assert holder(api, namespace) == "replica-2"
    api.end_pod(api.wait_for_pod(namespace, job), make_outcome("prepare"))
    api.wait_for_status(namespace, lambda status: status["run"]["jobKind"] == "train" and status["run"].get("jobUID"))

    one.start(acts=False)
    two.kill()
    wait_for(one.acts, 60)
    assert holder(api, namespace) == "replica-1"
    assert len(api.list(namespace, "jobs")) == 2, "nothing was made twice"
    assert one.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_watches_that_died_without_a_sign_are_opened_anew(own_control_plane: ControlPlane, tmp_path: Path) -> None:
    """As behind a load balancer that forgets a connection: nothing comes any more, and nobody says so."""
    api = serve_crds(own_control_plane)
    user = allow_one_namespace(api, "default")
    kubeconfig, settings = tmp_path / "kubeconfig", write_settings(tmp_path, own_control_plane.authority, ["default"])
    operator = OperatorProcess(tmp_path, kubeconfig, settings)
    with DeadlyProxy(own_control_plane.client(user, user)) as proxy, operator:
        proxy.write_kubeconfig(kubeconfig)
        operator.start()
        time.sleep(2)
        proxy.silence_watches()

        api.create_bot("default")
        time.sleep(5)
        assert not api.bot("default").get("status", {}).get("run")
        wait_for(lambda: api.list("default", "jobs"), seconds=90)


def test_a_newer_operator_restarts_no_job_and_writes_nothing(
    control_plane: ControlPlane, api: Api, namespace: str, replicas: list[OperatorProcess]
) -> None:
    """The Job is made to look like one of an older operator: another version, no record of the run, other rules."""
    one, two = replicas
    one.start()
    api.create_bot(namespace)
    # The last news of a pod for which there is no node: after it, nothing is left to be written.
    api.wait_for_status(
        namespace, lambda status: {item["reason"] for item in status.get("conditions", ())} == {"Unschedulable"}
    )
    (job,) = api.list(namespace, "jobs")
    one.stop()
    annotations = {"tweetbot.dev/operator-version": "0.0.1", "tweetbot.dev/runs": None}
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{job['metadata']['name']}"
    api.call("PATCH", path, {"metadata": {"annotations": annotations}}, "application/merge-patch+json")
    before = api.bot(namespace)
    written = writes_to_bots(control_plane, namespace)

    two.start()
    wait_for(lambda: f'tweetbot_bots{{phase="{before["status"]["phase"]}"}} 1.0' in two.get("/metrics"))

    assert writes_to_bots(control_plane, namespace) == written
    assert api.bot(namespace)["status"]["run"] == before["status"]["run"]
    (after,) = api.list(namespace, "jobs")
    assert after["metadata"]["uid"] == job["metadata"]["uid"]
    api.end_pod(api.wait_for_pod(namespace, job["metadata"]["name"]), make_outcome("prepare"))
    api.wait_for_status(namespace, lambda status: status["run"]["jobKind"] == "train")
    assert two.stop() == 0
