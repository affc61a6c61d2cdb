"""The table that the chart's RBAC is made from."""

import os
from pathlib import Path

import pytest

from tweetbot_operator.permissions import CLUSTER_WIDE, NAMESPACED, OWN_NAMESPACE, Rule

GOLDEN = Path(__file__).parents[2] / "golden" / "operator" / "permissions.txt"
EVERY_RULE = [*NAMESPACED, *OWN_NAMESPACE, *CLUSTER_WIDE]


def list_permissions() -> str:
    """Return the rights as `kubectl auth can-i --list` shows them: resource and verbs, where they hold."""
    lines = [
        f"{where:<13} {f'{resource}.{group}'.rstrip('.'):<32} {' '.join(sorted(rule.verbs))}"
        for where, rules in (("bots", NAMESPACED), ("operator", OWN_NAMESPACE), ("cluster", CLUSTER_WIDE))
        for rule in rules
        for group in rule.api_groups
        for resource in rule.resources
    ]
    return "\n".join(sorted(lines)) + "\n"


def test_the_rights_of_the_operator_are_as_reviewed() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(list_permissions())

    assert list_permissions() == GOLDEN.read_text()


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.resources[0])
def test_no_rule_is_a_wildcard_or_touches_secrets(rule: Rule) -> None:
    granted = {*rule.api_groups, *rule.resources, *rule.verbs}

    assert "*" not in granted
    assert not any("secret" in resource for resource in rule.resources)
    assert rule.why


def test_only_what_has_no_namespace_is_granted_for_the_whole_cluster() -> None:
    assert [rule.resources for rule in CLUSTER_WIDE] == [("tokenreviews",)]
