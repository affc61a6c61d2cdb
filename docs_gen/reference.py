"""docs/reference.md: every field of the resource, from the schema that `kubectl explain` shows."""

from docs_gen.fields import Schema, code, field_rows, markdown_table
from tweetbot_api.crd import build_crd

HEADER = ("Field", "Type", "Default", "Limits", "Meaning")

INTRODUCTION = """\
# Reference: the fields of a TweetBot

Generated from [`api/tweetbot_api`](../api/tweetbot_api) by `make generate`; `kubectl explain tweetbot.spec` says the
same. What has no default here and is not required comes from the platform team's settings (the chart's `defaults`) or
is left out.
"""


def render_reference() -> str:
    """Return the page."""
    version = build_crd()["spec"]["versions"][0]
    top = version["schema"]["openAPIV3Schema"]["properties"]
    columns = markdown_table(
        ("Column", "From", "Shown"),
        (
            (column["name"], code(column["jsonPath"]), "with `-o wide`" if column.get("priority") else "always")
            for column in version["additionalPrinterColumns"]
        ),
    )
    parts = [INTRODUCTION]
    for name, title in (("spec", "what you write"), ("status", "what the operator reports")):
        rows = ((code(r.path), r.type, r.default, r.bounds, r.description) for r in field_rows(top[name], name))
        parts.append(f"## {name}: {title}\n\n{markdown_table(HEADER, rows)}")
        if name == "spec":
            parts.append(f"### Rules\n\n{_rules(top[name], name)}")
    parts.append(f"## Columns of `kubectl get tweetbots`\n\n{columns}")
    return "\n".join(parts)


def _rules(schema: Schema, path: str) -> str:
    """Return the messages of the CEL rules, each with the object that it is about."""
    lines = "".join(f"- `{path}`: {rule['message']}.\n" for rule in schema.get("x-kubernetes-validations", ()))
    return lines + "".join(_rules(field, f"{path}.{name}") for name, field in schema.get("properties", {}).items())
