"""The CustomResourceDefinitions, written from the models.

Pydantic's JSON schema becomes a structural schema as Kubernetes demands it: no `$ref`, no `anyOf` with null, no
`additionalProperties: false` (the apiserver prunes unknown fields itself), boolean `exclusiveMinimum`. See
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from tweetbot_api.bot_batch import TweetBotBatchSpec, TweetBotBatchStatus
from tweetbot_api.model import ApiModel
from tweetbot_api.names import BATCH_KIND, BATCH_PLURAL, GROUP, KIND, PLURAL, VERSION
from tweetbot_api.spec.tweetbot import TweetBotSpec
from tweetbot_api.status import TweetBotStatus

Schema = dict[str, Any]

HEADER = "# Generated from api/tweetbot_api by `make generate`; edit the models, not this file.\n"
CATEGORY = "bots"
_DROPPED_KEYS = frozenset({"title", "additionalProperties", "$defs", "const", "propertyNames"})
_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}

PRINTER_COLUMNS = (
    {"name": "Handles", "type": "string", "jsonPath": ".spec.handles"},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Stage", "type": "string", "jsonPath": ".status.stage"},
    {"name": "Progress", "type": "integer", "jsonPath": ".status.progress.percent"},
    {"name": "Loss", "type": "number", "jsonPath": ".status.progress.loss"},
    {"name": "Tweets", "type": "string", "jsonPath": ".status.data[*].kept"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Job", "type": "string", "jsonPath": ".status.run.jobName", "priority": 1},
    {"name": "Perplexity", "type": "number", "jsonPath": ".status.evaluation.perplexity", "priority": 1},
    {"name": "Model", "type": "string", "jsonPath": ".status.outputs.modelURI", "priority": 1},
    {"name": "W&B", "type": "string", "jsonPath": ".status.wandb.trainURL", "priority": 1},
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
        "priority": 1,
    },
)


BATCH_PRINTER_COLUMNS = (
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Bots", "type": "integer", "jsonPath": ".status.bots.total"},
    {"name": "Succeeded", "type": "integer", "jsonPath": ".status.bots.succeeded"},
    {"name": "Failed", "type": "integer", "jsonPath": ".status.bots.failed"},
    {"name": "Progress", "type": "integer", "jsonPath": ".status.percent"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Waiting", "type": "integer", "jsonPath": ".status.bots.waiting", "priority": 1},
    {"name": "Training", "type": "integer", "jsonPath": ".status.bots.training", "priority": 1},
    {"name": "Loss", "type": "number", "jsonPath": ".status.loss.p50", "priority": 1},
    {"name": "GPU seconds", "type": "integer", "jsonPath": ".status.gpuSeconds", "priority": 1},
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
        "priority": 1,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of ours, as its CRD describes it."""

    kind: str
    plural: str
    short_name: str
    description: str
    spec: type[ApiModel]
    status: type[ApiModel]
    columns: Sequence[Mapping[str, Any]]
    longest_name: int | None = None
    """Characters of the object's name at most, where Kubernetes' own limit is too high."""


TWEETBOT = Resource(
    kind=KIND,
    plural=PLURAL,
    short_name="tb",
    description="A bot that writes like the people whose posts it was trained on.",
    spec=TweetBotSpec,
    status=TweetBotStatus,
    columns=PRINTER_COLUMNS,
)
TWEETBOT_BATCH = Resource(
    kind=BATCH_KIND,
    plural=BATCH_PLURAL,
    short_name="tbb",
    description="Many TweetBots of one template: one for each handle of a list.",
    spec=TweetBotBatchSpec,
    status=TweetBotBatchStatus,
    columns=BATCH_PRINTER_COLUMNS,
    # Its name is the value of a label, and the beginning of its bots' names.
    longest_name=63,
)
RESOURCES = (TWEETBOT, TWEETBOT_BATCH)


def build_crd(resource: Resource = TWEETBOT) -> dict[str, Any]:
    """Return the CustomResourceDefinition manifest of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
                # Not the name of a kind: kubectl would take `get tweetbot NAME` for all kinds of the category.
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(resource.columns),
                    "schema": {"openAPIV3Schema": _build_schema(resource)},
                }
            ],
        },
    }


def _build_schema(resource: Resource) -> Schema:
    _, schema = models_json_schema([(resource.spec, "validation"), (resource.status, "validation")], by_alias=True)
    definitions: dict[str, Schema] = schema["$defs"]
    status = structural(definitions[resource.status.__name__], definitions)
    # kstatus takes an object without status for finished; this says that it has not been seen yet.
    status["default"] = {"observedGeneration": -1}
    status["properties"]["conditions"] |= {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    whole: Schema = {
        "type": "object",
        "description": resource.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
            "kind": {"type": "string", "description": f"Kind of the object: {resource.kind}."},
            "metadata": {"type": "object"},
            "spec": structural(definitions[resource.spec.__name__], definitions),
            "status": status,
        },
    }
    if resource.longest_name:
        message = f"the name of a {resource.kind} has at most {resource.longest_name} characters; choose a shorter one"
        rule = f"size(self.metadata.name) <= {resource.longest_name}"
        whole["x-kubernetes-validations"] = [{"rule": rule, "message": message}]
    return whole


def structural(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return the schema without references, nulls and keys that Kubernetes refuses."""
    schema = _resolve(schema, definitions)
    result: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: structural(item, definitions) for name, item in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            result[key] = structural(value, definitions)
        elif key in _BOUNDS:
            result[_BOUNDS[key]] = value
            result[key] = True
        elif key == "description":
            result[key] = " ".join(value.split())
        elif key == "default" and isinstance(value, dict):
            # The apiserver refuses a null where a type stands; kubectl hides that by dropping it.
            result[key] = _without_nulls(value)
        elif key not in _DROPPED_KEYS and not (key == "default" and value is None):
            result[key] = value
    return result


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_nulls(item) for name, item in value.items() if item is not None}


def _resolve(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow `$ref` and unwrap optional types; what stands beside them (description, default) wins."""
    beside = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf", "allOf"}}
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[1]]
        return _resolve({**target, **beside}, definitions)
    if "anyOf" in schema:
        present = [option for option in schema["anyOf"] if option.get("type") != "null"]
        if len(present) != 1:
            raise ValueError(f"a structural schema cannot choose between types: {schema}")
        return _resolve({**_resolve(present[0], definitions), **beside}, definitions)
    return schema


class _PlainDumper(yaml.SafeDumper):
    """Repeats equal values instead of naming them: anchors are hard to read in a CRD."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def render(resource: Resource = TWEETBOT) -> str:
    """Return the CRD of a kind as YAML."""
    return HEADER + yaml.dump(build_crd(resource), Dumper=_PlainDumper, sort_keys=False, width=120, allow_unicode=True)
