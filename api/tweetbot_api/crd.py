"""Write the CustomResourceDefinition from the models: `python -m tweetbot_api.crd [--check] FILE...`.

Pydantic's JSON schema becomes a structural schema as Kubernetes demands it: no `$ref`, no `anyOf` with null, no
`additionalProperties: false` (the apiserver prunes unknown fields itself), boolean `exclusiveMinimum`. See
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from tweetbot_api.names import GROUP, KIND, PLURAL, VERSION
from tweetbot_api.spec import TweetBotSpec
from tweetbot_api.status import TweetBotStatus

Schema = dict[str, Any]

HEADER = "# Generated from api/tweetbot_api by `make generate`; edit the models, not this file.\n"
_DROPPED_KEYS = frozenset({"title", "additionalProperties", "$defs", "const"})
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


def build_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition manifest of the TweetBot."""
    _, schema = models_json_schema([(TweetBotSpec, "validation"), (TweetBotStatus, "validation")], by_alias=True)
    definitions: dict[str, Schema] = schema["$defs"]
    status = structural(definitions["TweetBotStatus"], definitions)
    # kstatus takes an object without status for finished; this says that it has not been seen yet.
    status["default"] = {"observedGeneration": -1}
    status["properties"]["conditions"] |= {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "tweetbot",
                "shortNames": ["tb"],
                "categories": ["tweetbot"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(PRINTER_COLUMNS),
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "A bot that writes like the people whose posts it was trained on.",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {
                                    "type": "string",
                                    "description": "Version of the schema of this object.",
                                },
                                "kind": {"type": "string", "description": "Kind of the object: TweetBot."},
                                "metadata": {"type": "object"},
                                "spec": structural(definitions["TweetBotSpec"], definitions),
                                "status": status,
                            },
                        }
                    },
                }
            ],
        },
    }


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


def render() -> str:
    """Return the CRD as YAML."""
    return HEADER + yaml.dump(build_crd(), Dumper=_PlainDumper, sort_keys=False, width=120, allow_unicode=True)


def main() -> int:
    """Write the CRD to each file, or with --check tell which of them differ from the models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    text = render()
    stale = [path for path in arguments.files if not path.exists() or path.read_text() != text]
    for path in stale:
        if arguments.check:
            print(f"{path} is out of date; run `make generate`", file=sys.stderr)
        else:
            path.write_text(text)
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
