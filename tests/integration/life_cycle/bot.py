"""The bot `ann` of one namespace in a test's hands, and what it has been through."""

from dataclasses import dataclass, field
from typing import Any

from tests.integration.api import Api, bots_path, wait_for
from tests.integration.life_cycle.mortal_operator import MortalOperator
from tweetbot_api import names
from tweetbot_api.messages import BotOutcome

Document = dict[str, Any]
NAME = "ann"
BACKGROUND = {"propagationPolicy": "Background"}


@dataclass
class Bot:
    api: Api
    namespace: str
    operator: MortalOperator
    spec: Document = field(default_factory=dict)
    """What it is made with."""
    _born: str = ""

    # What users do

    def create(self) -> None:
        self._born = self.api.create_bot(self.namespace, NAME, **self.spec)["metadata"]["resourceVersion"]

    def edit(self, **spec: Any) -> None:
        self.api.edit_bot(self.namespace, spec)

    def hold(self) -> None:
        """Set the finalizer as the operator does for who wants a purge."""
        changes = {"metadata": {"finalizers": [names.FINALIZER]}}
        self.api.call("PATCH", f"{bots_path(self.namespace)}/{NAME}", changes, "application/merge-patch+json")

    def delete(self) -> None:
        self.api.call("DELETE", f"{bots_path(self.namespace)}/{NAME}")

    def delete_jobs(self) -> None:
        for job in self.api.list(self.namespace, "jobs"):
            path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{job['metadata']['name']}"
            self.api.call("DELETE", path, BACKGROUND)

    def patch_status(self, changes: Document) -> None:
        path = f"{bots_path(self.namespace)}/{NAME}/status"
        self.api.call("PATCH", path, {"status": changes}, "application/merge-patch+json")

    def clear_status(self) -> None:
        self.patch_status(dict.fromkeys(self.status))

    # What the kubelet does

    def end(self, job: str, *outcomes: BotOutcome, exit_code: int = 0) -> None:
        """End the pod of this attempt, with an outcome for each bot that shares it."""
        self.api.end_shared_pod(self.reach_job(job), outcomes, exit_code)

    def let_pods_go(self) -> None:
        """Let the pods go that were kept."""
        for pod in self.api.list(self.namespace, "pods"):
            self.api.let_pod_go(pod)

    # What is seen

    @property
    def status(self) -> Document:
        return self.api.bot(self.namespace).get("status") or {}

    @property
    def run(self) -> Document:
        run: Document = self.status.get("run") or {}
        return run

    @property
    def job_path(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{self.run['jobName']}"

    def exists(self) -> bool:
        return self.api.exists(f"{bots_path(self.namespace)}/{NAME}")

    def jobs(self) -> list[str]:
        """The bot's Jobs by kind and attempt, those that are going left out."""
        found = [job["metadata"] for job in self.api.list(self.namespace, "jobs")]
        return sorted(job["name"].split("-", 2)[2] for job in found if "deletionTimestamp" not in job)

    def path(self) -> list[str | None]:
        """Every phase that the bot has had since it was made, whoever looked; None where it had no status."""
        seen: list[str | None] = []
        for bot in self.api.history(self.namespace, self._born):
            phase = (bot.get("status") or {}).get("phase")
            if phase not in seen[-1:]:
                seen.append(phase)
        return seen if seen[:1] == [None] else [None, *seen]

    def reach(self, phase: str, reason: str | None = None, seconds: float = 30) -> None:
        """Wait for a phase, and a reason on Ready."""

        def is_there(status: Document) -> bool:
            reasons = [item["reason"] for item in status.get("conditions", ()) if item["type"] == "Ready"]
            return status.get("phase") == phase and (reason is None or reasons == [reason])

        self.api.wait_for_status(self.namespace, is_there, seconds=seconds)

    def reach_job(self, name: str) -> Document:
        """Wait until this attempt's Job is recorded and has a pod; return the pod."""
        self.api.wait_for_status(self.namespace, lambda status: _is_at_work(status.get("run") or {}, name))
        return self.api.wait_for_pod(self.namespace, self.run["jobName"])

    def wait_for_ended_jobs(self) -> None:
        wait_for(lambda: all("completionTime" in job["status"] for job in self.api.list(self.namespace, "jobs")))


def _is_at_work(run: Document, name: str) -> bool:
    """Tell whether this attempt's Job is known to be there; of a shared one, so much as its name is recorded."""
    job = run.get("jobName") or ""
    is_recorded = bool(run.get("jobUID")) or job.startswith("tweetbots-")
    return is_recorded and f"{run['jobKind']}-{run['attempt']}" == name
