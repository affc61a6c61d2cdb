"""docs/metrics.md: how to scrape the operator, every metric that it has, and the chart's alerts."""

from collections.abc import Sequence

from docs_gen.alerts import ALERTS, Alert
from docs_gen.fields import code, markdown_table
from tweetbot_operator.families import Family
from tweetbot_operator.metrics import Metrics

INTRODUCTION = """\
# Metrics and alerts

Generated from [`metrics.py`](../operator/tweetbot_operator/metrics.py) and [`alerts.py`](../docs_gen/alerts.py) by
`make generate`.

Each replica serves `/metrics` on port 8080 of its pod (`health`), in Prometheus' text format and without TLS: no label
names an object. Scrape the pods, not the Service, which gives the one replica or the other.

Only the replica that acts has the gauges of bots, queues and waiting Jobs. Counters count what a replica did itself and
begin at zero with it: take their `rate` or `increase`, and the sum over all replicas.

The chart makes what a Prometheus of the Prometheus Operator and a Grafana need, each only if asked to:

```console
$ helm upgrade tweetbot charts/tweetbot-operator -n tweetbot-system -f values.yaml \\
    --set monitoring.podMonitor.create=true --set monitoring.prometheusRule.create=true \\
    --set monitoring.dashboard.create=true
```

Prometheus chooses PodMonitors and PrometheusRules by their labels: give them those of yours by `monitoring.labels`,
most often `release: NAME` of a kube-prometheus-stack. Grafana's sidecar finds the dashboard if it looks at the
operator's namespace (`searchNamespace`), and puts it into `monitoring.dashboard.folder` if it is told
`folderAnnotation: grafana_folder` and `provider.foldersFromFilesStructure: true`.

## Metrics

`phase` is one of [the life of a bot](life-cycle.md), `reason` one of the [reasons](reasons.md), `kind` a kind of Job:
`prepare`, `train` or `purge`.
"""
ALERTS_INTRODUCTION = """\
## Alerts

Of the chart's PrometheusRule. NAMESPACE and NAME stand for the operator's own.
"""


def known_families() -> Sequence[Family]:
    """Return the metrics of an operator that acts."""
    metrics = Metrics("")
    metrics.watch_acting(bool)
    metrics.watch(dict, int, int, dict)
    return metrics.families.known


def render_metrics() -> str:
    """Return the page."""
    families = sorted(known_families(), key=lambda family: family.name)
    metrics = markdown_table(("Metric", "Type", "Labels", "Meaning"), map(_metric_row, families))
    alerts = markdown_table(("Alert", "Severity", "What is the matter", "What to do"), map(_alert_row, ALERTS))
    return f"{INTRODUCTION}\n{metrics}\n{ALERTS_INTRODUCTION}\n{alerts}"


def _alert_row(alert: Alert) -> tuple[str, str, str, str]:
    return code(alert.name), alert.severity, f"{alert.summary}, for {alert.minutes} minutes.", alert.description


def _metric_row(family: Family) -> tuple[str, str, str, str]:
    return code(family.name), family.type, ", ".join(map(code, family.labels)), family.text
