"""What Prometheus and Grafana are given: objects of their shape that name metrics which exist."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from docs_gen.metrics import known_families
from tests.chart.chart import Chart, Manifest, of_kind

ON = {
    "monitoring": {
        "labels": {"release": "prometheus"},
        "podMonitor": {"create": True},
        "prometheusRule": {"create": True, "longestWaitSeconds": 7200},
        "dashboard": {"create": True, "folder": "Bots"},
    }
}
FAMILIES = {family.name: family for family in known_families()}
FROM_PROMETHEUS = {"job"}
"""Labels that a metric gets where it is scraped."""


@pytest.fixture(scope="module")
def monitored(chart: Chart) -> list[Manifest]:
    """The chart with all of it."""
    return chart.render(**ON)


def find_dashboard(manifests: list[Manifest]) -> Manifest:
    (dashboard,) = (
        item for item in of_kind(manifests, "ConfigMap") if "grafana_dashboard" in item["metadata"]["labels"]
    )
    return dashboard


def read_rules(manifests: list[Manifest]) -> list[dict[str, Any]]:
    (rule,) = of_kind(manifests, "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    return list(group["rules"])


def read_panels(manifests: list[Manifest]) -> list[dict[str, Any]]:
    (text,) = find_dashboard(manifests)["data"].values()
    return list(json.loads(text)["panels"])


def expressions(manifests: list[Manifest]) -> Iterator[str]:
    yield from (rule["expr"] for rule in read_rules(manifests))
    yield from (target["expr"] for panel in read_panels(manifests) for target in panel["targets"])


def labels_of(series: str) -> set[str]:
    """Return the labels that a series of this name has; an unknown name has none, and is no metric."""
    histogram = FAMILIES.get(re.sub(r"_(bucket|sum|count)$", "", series))
    if histogram is not None and histogram.type == "histogram" and series != histogram.name:
        return {*histogram.labels, "le"} if series.endswith("_bucket") else {*histogram.labels}
    assert series in FAMILIES, f"there is no metric {series}"
    assert FAMILIES[series].type != "histogram", f"{series} is a histogram, which has no series of its own name"
    return {*FAMILIES[series].labels}


def test_nothing_of_it_is_made_by_default(manifests: list[Manifest]) -> None:
    assert not of_kind(manifests, "PodMonitor", "PrometheusRule")
    assert [item["metadata"]["name"] for item in of_kind(manifests, "ConfigMap")] == ["tweetbot-operator"]


def test_it_adds_three_objects_and_changes_no_other(manifests: list[Manifest], monitored: list[Manifest]) -> None:
    others = [item for item in monitored if item not in manifests and item["kind"] != "Secret"]
    assert sorted(item["kind"] for item in others) == ["ConfigMap", "PodMonitor", "PrometheusRule"]
    assert all(item["metadata"]["namespace"] == "tweetbot-system" for item in others)


def test_prometheus_finds_the_operators_pods_and_their_port(monitored: list[Manifest]) -> None:
    (monitor,) = of_kind(monitored, "PodMonitor")
    (deployment,) = of_kind(monitored, "Deployment")
    pod = deployment["spec"]["template"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["spec"]["selector"] == {"matchLabels": deployment["spec"]["selector"]["matchLabels"]}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["path"] == "/metrics"
    probed = pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"]
    assert endpoint["port"] == probed, "probes and metrics are served at one port"


def test_a_prometheus_that_chooses_by_labels_chooses_both(monitored: list[Manifest]) -> None:
    chosen = of_kind(monitored, "PodMonitor", "PrometheusRule")
    assert [item["metadata"]["labels"]["release"] for item in chosen] == ["prometheus"] * 2


def test_each_alert_says_what_is_wrong_and_what_to_do(monitored: list[Manifest]) -> None:
    rules = read_rules(monitored)
    assert len({rule["alert"] for rule in rules}) == len(rules) == 6
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[1-9]\d*m", rule["for"])
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}
        text = " ".join(rule["annotations"].values())
        assert not re.search(r"\b(OURS|NAMESPACE|NAME|LONGEST_WAIT)\b", text + rule["expr"])


def test_the_dashboard_is_one_that_grafanas_sidecar_finds(monitored: list[Manifest]) -> None:
    metadata = find_dashboard(monitored)["metadata"]
    assert metadata["labels"]["grafana_dashboard"] == "1"
    assert metadata["annotations"] == {"grafana_folder": "Bots"}


def test_a_dashboard_without_a_folder_has_no_annotation(chart: Chart) -> None:
    manifests = chart.render(monitoring={"dashboard": {"create": True}})
    assert "annotations" not in find_dashboard(manifests)["metadata"]


def test_the_panels_of_the_dashboard_stand_side_by_side(monitored: list[Manifest]) -> None:
    panels = read_panels(monitored)
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, two in combinations((panel["gridPos"] for panel in panels), 2):
        assert one["x"] + one["w"] <= two["x"] or one["y"] + one["h"] <= two["y"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_alerts_and_dashboard_name_metrics_and_labels_that_exist(monitored: list[Manifest]) -> None:
    for expression in expressions(monitored):
        selectors = re.findall(r"\b(tweetbot_\w+)\{(.*?)\}", expression)
        assert len(selectors) == len(re.findall(r"\btweetbot_", expression)), f"a metric of any job: {expression}"
        for series, selected in selectors:
            named = set(re.findall(r"(\w+)(?:=~?|!=|!~)\"", selected))
            assert "job" in named
            assert named <= labels_of(series) | FROM_PROMETHEUS, expression
        known = {label for series, _ in selectors for label in labels_of(series)}
        kept = {label for by in re.findall(r"by \((.*?)\)", expression) for label in by.split(", ")}
        assert kept <= known, expression


def test_alerts_are_about_what_the_pod_monitor_has_scraped(chart: Chart) -> None:
    """Without a label to take it from, the Prometheus Operator calls a job after its PodMonitor."""
    manifests = chart.render(**ON, fullnameOverride="bots")
    (monitor,) = of_kind(manifests, "PodMonitor")
    assert "jobLabel" not in monitor["spec"]
    want = f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"
    for rule in read_rules(manifests):
        assert set(re.findall(r'job="(.*?)"', rule["expr"])) == {want}


def test_alerts_about_nothing_that_is_scraped_are_refused(chart: Chart) -> None:
    assert "create both" in chart.refusal({"monitoring": {"prometheusRule": {"create": True}}})


def test_how_long_a_job_may_wait_is_the_platforms_to_say(monitored: list[Manifest]) -> None:
    (expression,) = (rule["expr"] for rule in read_rules(monitored) if rule["alert"] == "TweetBotJobsWait")
    assert expression.endswith(" > 7200")
