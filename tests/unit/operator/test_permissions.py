"""The table that the chart's RBAC is made from."""

import pytest

from tweetbot_operator.permissions import CLUSTER_WIDE, NAMESPACED, Rule


@pytest.mark.parametrize("rule", [*NAMESPACED, *CLUSTER_WIDE], ids=lambda rule: rule.resources[0])
def test_no_rule_is_a_wildcard_or_touches_secrets(rule: Rule) -> None:
    granted = {*rule.api_groups, *rule.resources, *rule.verbs}

    assert "*" not in granted
    assert not any("secret" in resource for resource in rule.resources)
    assert rule.why


def test_only_what_has_no_namespace_is_granted_for_the_whole_cluster() -> None:
    assert [rule.resources for rule in CLUSTER_WIDE] == [("tokenreviews",)]


def test_the_spec_of_a_bot_is_never_written() -> None:
    (rule,) = (rule for rule in NAMESPACED if rule.resources == ("tweetbots",))

    assert set(rule.verbs) == {"get", "list", "watch"}
