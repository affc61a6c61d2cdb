"""A list of handles in a file: a Job reads it, the operator keeps it, and the bots follow."""

from typing import Any

from tests.unit.operator.bot_batches.batch_world import BATCH, BatchWorld
from tests.unit.operator.bot_batches.test_batches import kinds, ready
from tests.unit.operator.factories import make_failure
from tests.unit.operator.fake_cluster import Document
from tweetbot_api.messages import HandlesMessage
from tweetbot_api.names import CONTAINER
from tweetbot_api.runconfig import ListManifest
from tweetbot_api.termination import encode_termination
from tweetbot_operator.observed import Key

CSV = {"uri": "s3://lists/team.csv", "column": "account"}


def make_world(**changes: Any) -> BatchWorld:
    return BatchWorld(handlesFrom={"csv": CSV}, **changes)


def the_job(world: BatchWorld) -> Document:
    (job,) = world.cluster.all("Job")
    return job


def hand_over(world: BatchWorld, *handles: str) -> None:
    batch = {"namespace": "default", "name": BATCH.name, "uid": "uid-of-team"}
    name = the_job(world)["metadata"]["name"]
    world.reconciler.keep_handles(HandlesMessage(batch=batch, job_name=name, handles=list(handles)))


def end_job(world: BatchWorld, condition: str) -> None:
    job = the_job(world)
    job["status"] = {"conditions": [{"type": condition, "status": "True"}]}
    world.cluster.put(job)


def test_a_job_in_the_batchs_namespace_reads_the_file_with_the_templates_credentials() -> None:
    s3 = {"bucket": "bots", "endpoint": "https://minio.test", "credentialsSecret": {"name": "keys"}}
    template = {"spec": {"source": {"bluesky": {}}, "output": {"s3": s3}}}
    world = make_world(template=template)

    world.settle()

    job = the_job(world)
    metadata, pod = job["metadata"], job["spec"]["template"]["spec"]
    assert metadata["namespace"] == BATCH.namespace
    assert metadata["ownerReferences"][0]["uid"] == "uid-of-team"
    (container,) = pod["containers"]
    assert container["image"] == "registry.test/prepare:1"
    assert container["command"] == ["tweetbot", "job", "list"]
    assert {item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"]} == {"keys"}
    assert pod["securityContext"]["runAsNonRoot"] is True
    config_map = world.cluster.get("ConfigMap", Key("default", metadata["name"]))
    manifest = ListManifest.model_validate_json(config_map["data"]["manifest.json"])
    assert (manifest.uri, manifest.column) == (CSV["uri"], "account")
    assert (manifest.batch.uid, manifest.job_name) == ("uid-of-team", metadata["name"])
    assert manifest.store.endpoint == "https://minio.test"
    assert config_map["data"]["operator-ca.crt"] == "CA"
    assert ready(world) == ("ReadingHandles", f"the Job {metadata['name']} reads s3://lists/team.csv")
    assert kinds(world) == {"Ready", "Reconciling"}
    assert [write for write in world.cluster.writes if "create Job" in write] == [f"create Job {metadata['name']}"]


def test_what_it_hands_over_is_the_list() -> None:
    world = make_world()
    world.settle()

    hand_over(world, "@Ann", "ben", "bad handle", "e#ve")
    end_job(world, "Complete")
    world.settle()

    assert set(world.bots) == {"team-ann", "team-ben"}
    reason, message = ready(world)
    assert reason == "HandlesInvalid"
    assert "handle 3 ('bad handle')" in message
    assert "handle 4 ('e?ve')" in message


def test_the_list_outlives_the_job_that_has_read_it() -> None:
    world = make_world()
    world.settle()
    hand_over(world, "ann")
    world.cluster.remove("Job", Key("default", the_job(world)["metadata"]["name"]))

    world.restart()
    world.settle()

    assert set(world.bots) == {"team-ann"}
    assert world.cluster.all("Job") == []


def test_a_file_that_cannot_be_read_is_told_until_another_revision_is_asked_for() -> None:
    world = make_world()
    world.settle()
    job = the_job(world)
    failure = make_failure("SourceNotFound", 66, "there is no object s3://lists/team.csv")
    ended = {"terminated": {"exitCode": 66, "message": encode_termination([failure])}}
    world.cluster.put(
        {
            "kind": "Pod",
            "metadata": {
                "name": "reader",
                "namespace": "default",
                "labels": {"batch.kubernetes.io/job-name": job["metadata"]["name"]},
            },
            "status": {"phase": "Failed", "containerStatuses": [{"name": CONTAINER, "state": ended}]},
        }
    )
    end_job(world, "Failed")

    world.settle()

    reason, message = ready(world)
    assert reason == "SourceNotFound"
    assert message.startswith("s3://lists/team.csv was not read: there is no object s3://lists/team.csv; mend it")
    assert kinds(world) == {"Ready", "Stalled"}
    world.edit(handlesFrom={"csv": {**CSV, "revision": "2"}})
    world.settle()
    assert len(world.cluster.all("Job")) == 2
    assert ready(world)[0] == "ReadingHandles"


def test_a_new_revision_adds_the_handles_that_are_new() -> None:
    world = make_world()
    world.settle()
    hand_over(world, "ann")
    world.settle()
    world.end_all()
    world.settle()
    former = the_job(world)["metadata"]["name"]
    world.cluster.remove("Job", Key("default", former))

    world.edit(handlesFrom={"csv": {**CSV, "revision": "2"}})
    world.settle()
    hand_over(world, "ann", "ben")
    world.settle()

    assert world.runs == ["team-ann", "team-ben"]


def test_a_list_that_was_deleted_is_read_again() -> None:
    world = make_world()
    world.settle()
    hand_over(world, "ann")
    end_job(world, "Complete")
    world.settle()
    name = the_job(world)["metadata"]["name"]
    world.cluster.remove("ConfigMap", Key("default", f"{name}-handles"))

    world.wait(60)
    world.settle()

    creates = [write for write in world.cluster.writes if write == f"create Job {name}"]
    assert len(creates) == 2
    assert world.runs == ["team-ann"]
