"""The schema of the chart's values: the operator's settings, and what only the chart knows."""

import json
from typing import Any

from pydantic import Field

from docs_gen.draft07 import Schema, inlined_schema
from tweetbot_api.model import ApiModel
from tweetbot_api.spec.fields import KubernetesName, LabelValue, Quantity
from tweetbot_api.spec.resources import Toleration
from tweetbot_operator.settings import OperatorSettings


class Crds(ApiModel):
    """The CustomResourceDefinitions."""

    install: bool = True
    """Install and upgrade them with the chart. Without it, apply `crds/` yourself."""
    keep: bool = True
    """Leave them, and with them every TweetBot, when the chart is uninstalled."""


class OperatorImage(ApiModel):
    """The image that is the chart's own business."""

    operator: str = Field(min_length=1)
    """Image of the operator."""


class ResourceAmounts(ApiModel):
    """Amounts of CPU and memory."""

    cpu: Quantity | None = None
    """CPU."""
    memory: Quantity | None = None
    """Memory."""


class PodResources(ApiModel):
    """CPU and memory of the operator's pod."""

    requests: ResourceAmounts = ResourceAmounts()
    """What the scheduler keeps free for it."""
    limits: ResourceAmounts = ResourceAmounts()
    """What it may use at most."""


class OperatorPod(ApiModel):
    """The operator's pod."""

    replicas: int = Field(default=1, ge=1, le=3)
    """Replicas. One acts, behind a Lease; another takes over when it ends or is silent for half a minute."""
    resources: PodResources = PodResources()
    """CPU and memory. 256 MiB are enough for ten thousand bots."""
    priority_class_name: KubernetesName | None = None
    """PriorityClass."""
    node_selector: dict[str, LabelValue] = {}
    """Labels that its node must carry."""
    tolerations: list[Toleration] = []
    """Taints that it may be scheduled onto."""


class Tls(ApiModel):
    """The certificate of the server that trainers report to."""

    existing_secret: KubernetesName | None = None
    """Secret in the release's namespace with `tls.crt`, `tls.key` and `ca.crt`, for example from cert-manager. Without
    it the chart makes a certificate of its own, valid for ten years, and keeps it over upgrades."""


class UserRoles(ApiModel):
    """What users of the cluster may do with TweetBots."""

    create: bool = True
    """Add TweetBots to the cluster's `view`, `edit` and `admin` roles, so that whoever has one of them in a namespace
    has it for TweetBots too."""


class SecretPolicy(ApiModel):
    """The ValidatingAdmissionPolicy on Secrets."""

    create: bool = True
    """Let users name only Secrets that they may `get` themselves."""


class PodMonitor(ApiModel):
    """What the Prometheus Operator is told to scrape."""

    create: bool = False
    """Have every replica of the operator scraped."""


class PrometheusRule(ApiModel):
    """The alerts."""

    create: bool = False
    """Make the alerts; they count on the PodMonitor."""
    longest_wait_seconds: int = Field(default=3600, ge=60)
    """Seconds for which a Job may wait for a node, or in its queue, before there is an alert."""


class Dashboard(ApiModel):
    """The Grafana dashboard."""

    create: bool = False
    """Make a ConfigMap with the dashboard, which Grafana's sidecar finds by the label `grafana_dashboard: "1"`."""
    folder: str | None = Field(default=None, min_length=1)
    """Grafana's folder, as the annotation `grafana_folder`: the sidecar's `folderAnnotation` must name that."""


class Monitoring(ApiModel):
    """What a Prometheus of the Prometheus Operator and a Grafana with a sidecar for dashboards are given."""

    labels: dict[str, LabelValue] = {}
    """Labels of the PodMonitor and the PrometheusRule, by which your Prometheus chooses them: `release: NAME` for that
    of a kube-prometheus-stack."""
    pod_monitor: PodMonitor = PodMonitor()
    """What the Prometheus Operator is told to scrape."""
    prometheus_rule: PrometheusRule = PrometheusRule()
    """The alerts."""
    dashboard: Dashboard = Dashboard()
    """The Grafana dashboard."""


class ChartOnly(ApiModel):
    """Values that the operator is not told."""

    crds: Crds = Crds()
    """The CustomResourceDefinitions."""
    operator: OperatorPod = OperatorPod()
    """The operator's pod."""
    tls: Tls = Tls()
    """The certificate of the server that trainers report to."""
    user_roles: UserRoles = UserRoles()
    """What users of the cluster may do with TweetBots."""
    secret_policy: SecretPolicy = SecretPolicy()
    """Which Secrets a TweetBot or TweetBotBatch may name."""
    monitoring: Monitoring = Monitoring()
    """What a Prometheus of the Prometheus Operator and a Grafana with a sidecar for dashboards are given."""
    fullname_override: KubernetesName | None = None
    """Name of the chart's objects. Without it, the release's name and `-operator`."""
    global_: dict[str, Any] = Field(default={}, alias="global")
    """Not used; Helm passes it when this chart is a dependency of another."""


def values_schema() -> Schema:
    """Return the draft-07 schema of values.yaml."""
    settings, chart = inlined_schema(OperatorSettings), inlined_schema(ChartOnly)
    images, operator_image = settings["properties"]["images"], inlined_schema(OperatorImage)
    images["properties"] = operator_image["properties"] | images["properties"]
    images["required"] = operator_image["required"] + images["required"]
    # The chart knows the server's address and its own namespace: it makes the Service, the certificate and the Role.
    properties = {name: value for name, value in settings["properties"].items() if name not in {"server", "lease"}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "description": "Generated from the models by `make generate`; edit those, not this file.",
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in settings["required"] if name != "server"],
        "properties": properties | chart["properties"],
    }


def render_values_schema() -> str:
    """Return the schema as the text of values.schema.json."""
    return json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n"
