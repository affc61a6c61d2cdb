"""The rest of Kubernetes, one small step at a time: the Job controller, the kubelet, the garbage collector."""

import itertools
from collections.abc import Mapping
from datetime import datetime

from tests.integration.operator.model_cluster import ModelCluster, read_key
from tests.unit.operator.factories import make_outcome
from tests.unit.operator.fake_cluster import Document
from tweetbot_api.exitcodes import STOPPED
from tweetbot_api.messages import BotOutcome, Purged
from tweetbot_api.names import CONTAINER, LABEL_JOB_KIND
from tweetbot_api.termination import encode_termination
from tweetbot_operator.observed import Key
from tweetbot_operator.reading import JOB_NAME_LABEL

PURGED = BotOutcome(purged=Purged(versions=31, uploads=2))


def run_jobs(cluster: ModelCluster, now: datetime) -> None:
    """Let each Job take one step: it ends with its pod, or gets one, which runs once its manifest is there."""
    for job in cluster.all("Job"):
        if _is_finished(job) or "deletionTimestamp" in job["metadata"]:
            continue
        pods = [pod for pod in cluster.all("Pod") if _owner(pod) == job["metadata"]["uid"]]
        ended = [pod for pod in pods if not is_live(pod) and _counts(pod, job)]
        if ended:
            cluster.put({**job, "status": {"conditions": [_tell_end(ended[0])]}})
        elif not _is_held_back(job):
            pod = next((pod for pod in pods if is_live(pod)), None) or _make_pod(job, _name_pod(cluster, job), now)
            if pod["status"]["phase"] == "Pending":
                _start(cluster, pod, now)


def end_pods(
    cluster: ModelCluster,
    now: datetime,
    exit_code: int = 0,
    outcomes: Mapping[str, BotOutcome] | None = None,
    *,
    is_drained: bool = False,
) -> None:
    """End each pod that runs: well, but for the bots that are named."""
    for pod in cluster.all("Pod"):
        if pod["status"]["phase"] != "Running":
            continue
        kind, bots = pod["metadata"]["labels"][LABEL_JOB_KIND], pod["metadata"]["annotations"]["bots"].split()
        well = PURGED if kind == "purge" else make_outcome(kind)
        told = encode_termination([(outcomes or {}).get(bot, well) for bot in bots])
        started = pod["status"]["startTime"]
        ended = {"exitCode": exit_code, "startedAt": started, "finishedAt": write_time(now), "message": told}
        cluster.put(
            {
                **pod,
                "status": {
                    "phase": "Failed" if exit_code else "Succeeded",
                    "startTime": started,
                    "containerStatuses": [{"name": CONTAINER, "state": {"terminated": ended}}],
                    "conditions": [{"type": "DisruptionTarget", "status": "True"}] if is_drained else [],
                },
            }
        )


def collect_garbage(cluster: ModelCluster) -> None:
    """Remove Jobs whose bots are gone, pods that were stopped, and Jobs that only waited for them."""
    for job in cluster.all("Job"):
        if not any(owner["uid"] in _uids(cluster) for owner in job["metadata"]["ownerReferences"]):
            cluster.remove("Job", read_key(job))
    jobs = {job["metadata"]["uid"]: job for job in cluster.all("Job")}
    for pod in cluster.all("Pod"):
        job = jobs.get(_owner(pod))
        if job is None or any("deletionTimestamp" in item["metadata"] for item in (job, pod)):
            cluster.remove("Pod", read_key(pod))
    for job in jobs.values():
        if "deletionTimestamp" in job["metadata"]:
            cluster.remove("Job", read_key(job))
    for config_map in cluster.all("ConfigMap"):
        if _owner(config_map) not in _uids(cluster):
            cluster.remove("ConfigMap", read_key(config_map))


def hold_back(cluster: ModelCluster, now: datetime, *, is_held_back: bool) -> None:
    """Let the queue stop or admit every Job that was given to it; pods that are stopped have time to save."""
    for job in cluster.all("Job"):
        if job["spec"].get("suspend", is_held_back) == is_held_back or _is_finished(job):
            continue
        cluster.put({**job, "spec": {**job["spec"], "suspend": is_held_back}})
        for pod in cluster.all("Pod") if is_held_back else ():
            if _owner(pod) == job["metadata"]["uid"] and is_live(pod):
                cluster.put({**pod, "metadata": {**pod["metadata"], "deletionTimestamp": write_time(now)}})


def is_live(pod: Document) -> bool:
    return pod["status"]["phase"] in {"Pending", "Running"}


def _is_held_back(job: Document) -> bool:
    return bool(job["spec"].get("suspend"))


def write_time(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def _name_pod(cluster: ModelCluster, job: Document) -> str:
    names = (f"{job['metadata']['name']}-pod-{number}" for number in itertools.count(1))
    return next(name for name in names if ("Pod", Key(job["metadata"]["namespace"], name)) not in cluster.objects)


def _make_pod(job: Document, name: str, now: datetime) -> Document:
    metadata = job["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": job["spec"]["template"]["metadata"]["labels"] | {JOB_NAME_LABEL: metadata["name"]},
            "annotations": {"bots": " ".join(owner["name"] for owner in metadata["ownerReferences"])},
            "ownerReferences": [{"kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}],
            "creationTimestamp": write_time(now),
        },
        "status": {"phase": "Pending", "startTime": write_time(now)},
    }


def _start(cluster: ModelCluster, pod: Document, now: datetime) -> None:
    """Let a pod run, or wait for the manifest that it mounts."""
    job = pod["metadata"]["ownerReferences"][0]
    key = Key(pod["metadata"]["namespace"], job["name"])
    config_map = cluster.objects.get(("ConfigMap", key))
    if config_map is not None and _owner(config_map) == job["uid"]:
        state = {"running": {"startedAt": write_time(now)}}
        status = {**pod["status"], "phase": "Running", "containerStatuses": [{"name": CONTAINER, "state": state}]}
        cluster.put({**pod, "status": status})
    elif "uid" not in pod["metadata"]:
        cluster.put(pod)


def _counts(pod: Document, job: Document) -> bool:
    """Tell whether the pod's end is the Job's: where a queue stops it, what SIGTERM ends is not."""
    return not (_is_held_back(job) and _exit_code(pod) in STOPPED)


def _tell_end(pod: Document) -> Document:
    """Return the Job's condition in the Job controller's words."""
    name, code = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}", _exit_code(pod)
    if code == 0:
        return {"type": "Complete", "status": "True"}
    failed = {"type": "Failed", "status": "True"}
    if pod["status"]["conditions"]:
        message = f"Pod {name} has condition DisruptionTarget matching FailJob rule at index 0"
    elif code in STOPPED:
        return {**failed, "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}
    else:
        message = f"Container {CONTAINER} for pod {name} failed with exit code {code} matching FailJob rule at index 1"
    return {**failed, "reason": "PodFailurePolicy", "message": message}


def _exit_code(pod: Document) -> int:
    code: int = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    return code


def _is_finished(job: Document) -> bool:
    return bool((job.get("status") or {}).get("conditions"))


def _owner(document: Document) -> str:
    uid: str = document["metadata"]["ownerReferences"][0]["uid"]
    return uid


def _uids(cluster: ModelCluster) -> set[str]:
    return {item["metadata"]["uid"] for item in cluster.objects.values()}
