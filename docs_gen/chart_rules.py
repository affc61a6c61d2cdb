"""The operator's RBAC rules as named templates of the chart, from the table in the operator's package."""

from collections.abc import Iterable

from tweetbot_operator.permissions import CLUSTER_WIDE, NAMESPACED, OWN_NAMESPACE, Rule

HEADER = "{{- /* Generated from operator/tweetbot_operator/permissions.py by `make generate`; edit that table. */ -}}\n"


def render_rules() -> str:
    """Return templates/_rules.tpl."""
    tables = {"namespaced": NAMESPACED, "ownNamespace": OWN_NAMESPACE, "clusterWide": CLUSTER_WIDE}
    return "\n".join((HEADER, *(_template(name, rules) for name, rules in tables.items())))


def _template(name: str, rules: Iterable[Rule]) -> str:
    return f'{{{{- define "tweetbot-operator.rules.{name}" -}}}}\n{"".join(map(_yaml, rules))}{{{{- end }}}}\n'


def _yaml(rule: Rule) -> str:
    # Flow lists of plain words: an empty word, the core API group, is the only one that needs quotes.
    lists = {name: ", ".join(word or '""' for word in words) for name, words in rule.to_wire().items()}
    lines = "".join(f"  {name}: [{words}]\n" for name, words in lists.items())
    return f"# {rule.why}\n-{lines[1:]}"
