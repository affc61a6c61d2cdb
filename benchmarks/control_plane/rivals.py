"""The rivals: plain Jobs, and Kubeflow Trainer v2 with JobSet by their own manifests and webhooks."""

from typing import Any

import yaml

from benchmarks.control_plane.contestant import collection, has_condition
from benchmarks.control_plane.controller import Controller
from benchmarks.control_plane.plane import Plane, Setting
from cluster import tools
from tweetbot_api.names import GPU_RESOURCE

Document = dict[str, Any]
_GPU = {"requests": {GPU_RESOURCE: 1}, "limits": {GPU_RESOURCE: 1}}
_IMAGE = "registry.test/pause:1"


class PlainJobs:
    """A Job per object and no controller but Kubernetes' own: what nobody who makes Jobs can be faster than."""

    name = "Job"
    collection = collection("batch/v1", "jobs")

    def start(self, plane: Plane) -> None:
        """Nothing is to be installed."""

    def stop(self) -> None:
        """Nothing is to be ended."""

    def processes(self) -> dict[str, int]:
        """Return no process: the controllers are the control plane's."""
        return {}

    def make(self, number: int) -> Document:
        """Return a Job of one container with a GPU."""
        container = {"name": "trainer", "image": _IMAGE, "resources": _GPU}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        metadata = {"name": f"job-{number:05d}"}
        spec = {"backoffLimit": 0, "template": template}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}

    def is_complete(self, document: Document) -> bool:
        """Tell whether the Job is complete."""
        return has_condition(document, "Complete")

    def objects_of(self, job: Document) -> list[str]:
        """Return the Job itself."""
        return [job["metadata"]["name"]]


class TrainJobs:
    """Kubeflow Trainer v2.0.0 and the JobSet that its go.mod asks for."""

    name = "TrainJob"
    collection = collection("trainer.kubeflow.org/v1alpha1", "trainjobs")

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._controllers: list[Controller] = []

    def start(self, plane: Plane) -> None:
        """Install both by their manifests; start them with their webhooks."""
        jobset = tools.module_folder("rivals", "sigs.k8s.io/jobset")
        trainer = tools.module_folder("rivals", "github.com/kubeflow/trainer/v2")
        base = trainer / "manifests/base"
        self._controllers = [
            Controller(
                program="jobset",
                namespace="jobset-system",
                account="jobset-controller-manager",
                secret="jobset-webhook-server-cert",  # noqa: S106 - a Secret's name
                manifests=(jobset / "config/default",),
                arguments=("--zap-log-level=2", *self._setting.jobset),
            ),
            Controller(
                program="trainer-controller-manager",
                namespace="kubeflow-system",
                account="kubeflow-trainer-controller-manager",
                secret="kubeflow-trainer-webhook-cert",  # noqa: S106 - a Secret's name
                manifests=(base / "crds", base / "rbac", base / "webhook"),
                arguments=(),
            ),
        ]
        for controller in self._controllers:
            controller.start(plane)
        runtime = yaml.safe_load((trainer / "manifests/base/runtimes/torch_distributed.yaml").read_text())
        plane.apply(runtime)

    def stop(self) -> None:
        """End both."""
        for controller in self._controllers:
            controller.stop()

    def processes(self) -> dict[str, int]:
        """Return the process ids of both."""
        return {controller.program: controller.pid for controller in self._controllers}

    def make(self, number: int) -> Document:
        """Return a TrainJob of one node with one GPU."""
        return {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "metadata": {"name": f"train-{number:05d}"},
            "spec": {
                "runtimeRef": {"name": "torch-distributed"},
                "trainer": {"numNodes": 1, "image": _IMAGE, "resourcesPerNode": _GPU},
            },
        }

    def is_complete(self, document: Document) -> bool:
        """Tell whether the TrainJob is complete."""
        return has_condition(document, "Complete")

    def objects_of(self, job: Document) -> list[str]:
        """Return the TrainJob of a JobSet's Job."""
        name = job["metadata"].get("labels", {}).get("jobset.sigs.k8s.io/jobset-name")
        return [name] if name else []
