"""Kinds of text that several parts of a spec hold, and what puts a rule into the CRD."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, JsonValue, StringConstraints, WithJsonSchema

from tweetbot_api.model import ApiModel

_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
Quantity = Annotated[
    str,
    BeforeValidator(str),
    StringConstraints(pattern=_QUANTITY, max_length=24),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": _QUANTITY, "maxLength": 24}),
]
"""A Kubernetes quantity such as `500m`, `2` or `16Gi`."""
SecretName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
Uri = Annotated[str, StringConstraints(pattern=r"^(s3|file)://[^\s]+$", max_length=1024)]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+$", max_length=253)]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]
KubernetesName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


def cel_rules(*rules: tuple[str, str]) -> ConfigDict:
    """Return a model's configuration that puts CEL rules, each with its message, into the CRD.

    The same rule stands as a validator in the model, for the command line, which no apiserver guards.
    """
    validations: JsonValue = [{"rule": rule, "message": message} for rule, message in rules]
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": validations})


class SecretReference(ApiModel):
    """The name of a Secret in the bot's own namespace."""

    name: SecretName
    """Name of a Secret in the namespace of the TweetBot. The operator never reads it: only the pod does."""
