"""Plays the trainers on fake nodes: ends each pod of the operator as a real trainer would, every bot a success.

    python -m benchmarks.control_plane.player KUBECONFIG

kwok makes a pod run; a trainer then ends it with a termination message that tells how each bot of the Job's batch
ended (`tweetbot_api.termination`), which kwok cannot know. It is one write of a pod's status, as kwok's own would be.
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
from tweetbot_api.names import LABEL_JOB_KIND, LABEL_MANAGED_BY, MANAGED_BY
from tweetbot_api.status import Dataset, Evaluation
from tweetbot_api.termination import encode_termination

Document = dict[str, Any]
OURS = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
_JOB_NAME = "batch.kubernetes.io/job-name"
_AT_ONCE = 4
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
    """Ends pods, each once, as soon as its run manifest is there to be mounted."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._api = Api(client)
        self._lock = threading.Lock()
        self._running: dict[str, Document] = {}
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
            if pod["status"].get("phase") == "Running" and uid not in seen:
                seen.add(uid)
                job = pod["metadata"]["labels"][_JOB_NAME]
                self._running[job] = pod
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
            if job not in self._manifests or job not in self._batches or job not in self._running:
                return
            pod = self._running.pop(job)
        self._hands.submit(self._end, pod, self._batches[job]).add_done_callback(_raise_loudly)

    def _end(self, pod: Document, bots: int) -> None:
        metadata = pod["metadata"]
        outcome = _OUTCOMES[metadata["labels"][LABEL_JOB_KIND]]
        container = pod["status"]["containerStatuses"][0]
        ended = {
            "exitCode": 0,
            "reason": "Completed",
            "startedAt": container["state"]["running"]["startedAt"],
            "finishedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "message": encode_termination([outcome] * bots),
        }
        status = {
            "phase": "Succeeded",
            "containerStatuses": [{**container, "ready": False, "state": {"terminated": ended, "running": None}}],
        }
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self._api.call("PATCH", path, {"status": status}, "application/strategic-merge-patch+json")


def _raise_loudly(future: Future[None]) -> None:
    """Let an error be seen in the log: the executor would keep it to itself."""
    if error := future.exception():
        traceback.print_exception(error)


if __name__ == "__main__":
    Player(connect(Path(sys.argv[1]))).run()
