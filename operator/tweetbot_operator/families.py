"""Makes metrics, and keeps what must be known of each: Prometheus' client does not tell the labels of a metric."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Family:
    """What must be known of a metric to ask for it."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    text: str


class Families:
    """The metrics of one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._known: list[Family] = []

    @property
    def known(self) -> Sequence[Family]:
        """All metrics, in the order in which they were made."""
        return self._known

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Make a counter; Prometheus adds `_total` to its name."""
        self._known.append(Family(f"{name}_total", "counter", labels, text))
        return Counter(name, text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
    ) -> Histogram:
        """Make a histogram."""
        self._known.append(Family(name, "histogram", labels, text))
        return Histogram(name, text, labels, registry=self._registry, buckets=buckets)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Make a gauge that is read whenever the metrics are asked for."""
        self._known.append(Family(name, "gauge", (), text))
        Gauge(name, text, registry=self._registry).set_function(read)

    def gauges(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Make a gauge for each value of a label; all are read at once."""
        self._known.append(Family(name, "gauge", (label,), text))
        self._registry.register(_Reading(name, text, label, read))

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Reading(Collector):
    def __init__(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for value, number in self._read().items():
            family.add_metric([value], number)
        yield family
