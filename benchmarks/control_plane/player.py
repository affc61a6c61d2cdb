"""Plays the kubelet and the trainer for the operator's pods on fake nodes, every bot a success.

    python -m benchmarks.control_plane.player KUBECONFIG

A scheduled pod runs once its run manifest is there to be mounted, and ends at once with a termination message that
tells how each bot of the Job's batch ended (`tweetbot_api.termination`); kwok can know neither. It is two writes of the
pod's status, as kwok's own would be.
"""

import sys
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient

from benchmarks.control_plane.plane import connect
from benchmarks.control_plane.watching import watch
from tests.integration.api import Api
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import CONTAINER, LABEL_JOB_KIND, LABEL_MANAGED_BY, MANAGED_BY
from tweetbot_api.status import Dataset, Evaluation
from tweetbot_api.termination import encode_termination

Document = dict[str, Any]
OURS = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
_JOB_NAME = "batch.kubernetes.io/job-name"
_AT_ONCE = 4
_POD_IP = "10.0.0.1"
# As large as the seed of the project: 33 optimiser steps of 1,024 tokens, in 4 epochs.
_DATASET = Dataset(characters=34_000, tokens=8_448, sha256="b" * 64)
_OUTCOMES = {
    "prepare": BotOutcome(dataset=_DATASET),
    "train": BotOutcome(
        manifest_sha256="a" * 64,
        evaluation=Evaluation(loss=3.21, perplexity=24.78, base_loss=4.12, base_perplexity=61.56),
    ),
}


class Player:
    """Runs and ends pods, each once."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._api = Api(client)
        self._lock = threading.Lock()
        self._scheduled: dict[str, Document] = {}
        self._manifests: set[str] = set()
        self._batches: dict[str, int] = {}
        self._hands = ThreadPoolExecutor(_AT_ONCE)

    def run(self) -> None:
        """Play until the apiserver goes away."""
        seen: set[str] = set()
        for follow in (self._follow_jobs, self._follow_manifests):
            threading.Thread(target=follow, daemon=True).start()
        for pod in watch(self._client, "/api/v1/pods", labels=OURS):
            uid = pod["metadata"]["uid"]
            if pod["spec"].get("nodeName") and uid not in seen:
                seen.add(uid)
                job = pod["metadata"]["labels"][_JOB_NAME]
                self._scheduled[job] = pod
                self._play(job)

    def _follow_jobs(self) -> None:
        for job in watch(self._client, "/apis/batch/v1/jobs", labels=OURS, metadata_only=True):
            name = job["metadata"]["name"]
            if name not in self._batches:
                self._batches[name] = len(job["metadata"]["ownerReferences"])
                self._play(name)

    def _follow_manifests(self) -> None:
        for manifest in watch(self._client, "/api/v1/configmaps", labels=OURS, metadata_only=True):
            self._manifests.add(manifest["metadata"]["name"])
            self._play(manifest["metadata"]["name"])

    def _play(self, job: str) -> None:
        with self._lock:
            if job not in self._manifests or job not in self._batches or job not in self._scheduled:
                return
            pod = self._scheduled.pop(job)
        self._hands.submit(self._live, pod, self._batches[job]).add_done_callback(_raise_loudly)

    def _live(self, pod: Document, bots: int) -> None:
        outcome = _OUTCOMES[pod["metadata"]["labels"][LABEL_JOB_KIND]]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        running = {"startedAt": now}
        self._write(pod, {"phase": "Running", "startTime": now, "podIP": _POD_IP}, {"running": running})
        message = encode_termination([outcome] * bots)
        ended = {**running, "exitCode": 0, "reason": "Completed", "finishedAt": now, "message": message}
        self._write(pod, {"phase": "Succeeded"}, {"running": None, "terminated": ended})

    def _write(self, pod: Document, status: Document, state: Document) -> None:
        metadata, image = pod["metadata"], pod["spec"]["containers"][0]["image"]
        is_running = state["running"] is not None
        condition = {"type": "Ready", "status": str(is_running)}
        container = {"name": CONTAINER, "image": image, "imageID": "", "ready": is_running, "restartCount": 0}
        whole = {**status, "conditions": [condition], "containerStatuses": [{**container, "state": state}]}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self._api.call("PATCH", path, {"status": whole}, "application/strategic-merge-patch+json")


def _raise_loudly(future: Future[None]) -> None:
    """Let an error be seen in the log: the executor would keep it to itself."""
    if error := future.exception():
        traceback.print_exception(error)


if __name__ == "__main__":
    Player(connect(Path(sys.argv[1]))).run()
