"""docs/reference*.md: every field of the resources, from the schema that `kubectl explain` shows."""

from docs_gen.fields import Schema, code, field_rows, markdown_table
from tweetbot_api.crd import TWEETBOT_BATCH, Resource, build_crd

HEADER = ("Field", "Type", "Default", "Limits", "Meaning")

INTRODUCTION = """\
# Reference: the fields of a {kind}

Generated from [`api/tweetbot_api`](../api/tweetbot_api) by `make generate`; `kubectl explain {singular}.spec` says the
same. What has no default here and is not required comes from the platform team's settings (the chart's `defaults`) or
is left out.
"""
TEMPLATE = "spec.template.spec"
AS_IN_A_BOT = "\nThe fields below `spec.template.spec` are those of a [TweetBot's spec](reference.md).\n"


def render_reference(resource: Resource) -> str:
    """Return the page of a kind."""
    version = build_crd(resource)["spec"]["versions"][0]
    top = version["schema"]["openAPIV3Schema"]["properties"]
    columns = markdown_table(
        ("Column", "From", "Shown"),
        (
            (column["name"], code(column["jsonPath"]), "with `-o wide`" if column.get("priority") else "always")
            for column in version["additionalPrinterColumns"]
        ),
    )
    introduction = INTRODUCTION.format(kind=resource.kind, singular=resource.kind.lower())
    parts = [introduction + (AS_IN_A_BOT if resource is TWEETBOT_BATCH else "")]
    for name, title in (("spec", "what you write"), ("status", "what the operator reports")):
        rows = (
            (code(r.path), r.type, r.default, r.bounds, r.description)
            for r in field_rows(top[name], name)
            if not r.path.startswith(f"{TEMPLATE}.")
        )
        parts.append(f"## {name}: {title}\n\n{markdown_table(HEADER, rows)}")
        if name == "spec":
            parts.append(f"### Rules\n\n{_rules(top[name], name)}")
    parts.append(f"## Columns of `kubectl get {resource.plural}`\n\n{columns}")
    return "\n".join(parts)


def _rules(schema: Schema, path: str) -> str:
    """Return the messages of the CEL rules, each with the object that it is about."""
    if path == TEMPLATE:
        return ""
    # Several rules may say the same.
    messages = dict.fromkeys(rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
    lines = "".join(f"- `{path}`: {message}.\n" for message in messages)
    return lines + "".join(_rules(field, f"{path}.{name}") for name, field in schema.get("properties", {}).items())
