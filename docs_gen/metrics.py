"""docs/metrics.md: how to scrape the operator, and every metric that it has."""

from collections.abc import Sequence

from docs_gen.fields import code, markdown_table
from tweetbot_operator.families import Family
from tweetbot_operator.metrics import Metrics

INTRODUCTION = """\
# Metrics

Generated from [`metrics.py`](../operator/tweetbot_operator/metrics.py) by `make generate`.

Each replica serves `/metrics` on port 8080 of its pod (`health`), in Prometheus' text format and without TLS: no label
names an object. Scrape the pods, not the Service, which gives the one replica or the other.

Only the replica that acts has the gauges of bots, queues and waiting Jobs. Counters count what a replica did itself and
begin at zero with it: take their `rate` or `increase`, and the sum over all replicas.

`phase` is one of [the life of a bot](life-cycle.md), `reason` one of the [reasons](reasons.md), `kind` a kind of Job:
`prepare`, `train` or `purge`.
"""


def known_families() -> Sequence[Family]:
    """Return the metrics of an operator that acts."""
    metrics = Metrics("")
    metrics.watch_acting(bool)
    metrics.watch(dict, int, int, dict)
    return metrics.families.known


def render_metrics() -> str:
    """Return the page."""
    rows = map(_row, sorted(known_families(), key=lambda family: family.name))
    return f"{INTRODUCTION}\n{markdown_table(('Metric', 'Type', 'Labels', 'Meaning'), rows)}"


def _row(family: Family) -> tuple[str, str, str, str]:
    return code(family.name), family.type, ", ".join(map(code, family.labels)), family.text
