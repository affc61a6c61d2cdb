"""What the train Job asks of the cluster."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tweetbot_api.model import ApiModel
from tweetbot_api.spec.fields import KubernetesName, LabelValue, Quantity


class Toleration(ApiModel):
    """A taint that the pods may be scheduled onto; the fields are those of a pod's toleration."""

    key: Annotated[str, StringConstraints(max_length=316)] | None = None
    """Key of the taint; empty with operator `Exists` for every key."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How the value is compared."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; every effect if left out."""


class Resources(ApiModel):
    """What the train Job asks of the cluster; what is left out comes from the operator's settings."""

    gpus: int | None = Field(default=None, ge=0, le=16)
    """GPUs (`nvidia.com/gpu`) of each train pod, each with a process of its own. 0 trains on the CPU."""
    nodes: int | None = Field(default=None, ge=1, le=32)
    """Pods that train together, each with these GPUs, CPUs and this memory. They start and end together: if one fails,
    the next attempt is made of new ones."""
    cpu: Quantity | None = None
    """CPU request and limit of each train pod."""
    memory: Quantity | None = None
    """Memory request and limit of each train pod."""
    node_selector: dict[str, LabelValue] | None = Field(default=None, max_length=16)
    """Labels that the train pod's node must carry."""
    tolerations: list[Toleration] | None = Field(default=None, max_length=16)
    """Taints that the train pod may be scheduled onto."""
    priority_class_name: KubernetesName | None = None
    """PriorityClass of the train pod."""
    queue_name: LabelValue | None = None
    """Kueue LocalQueue in the bot's namespace that the train Job waits in. Needs Kueue in the cluster."""
    queue_priority_class_name: KubernetesName | None = None
    """Kueue WorkloadPriorityClass of the train Job: who comes first in the queue, and who may take another's place.
    Without it the PriorityClass of the pod counts. It decides nothing without `queueName`."""
