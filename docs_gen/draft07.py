"""A pydantic model as a JSON schema that Helm's draft-07 validator and people can read: no references, no nulls."""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]


def inlined_schema(model: type[BaseModel]) -> Schema:
    """Return the model's schema by alias, every reference resolved and every object closed."""
    schema = model.model_json_schema(by_alias=True)
    return _inline(schema, schema.get("$defs", {}))


def _inline(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    schema = _resolve(schema, definitions)
    result: Schema = {}
    for key, value in schema.items():
        match key:
            case "properties":
                result[key] = {name: _inline(item, definitions) for name, item in value.items()}
            case "items" | "additionalProperties" if isinstance(value, dict):
                result[key] = _inline(value, definitions)
            case "x-kubernetes-int-or-string":
                result["type"] = ["string", "number"]
            case "description":
                result[key] = " ".join(value.split())
            case "title" | "$defs" | "default":
                pass
            case _:
                result[key] = value
    return result


def _resolve(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow `$ref` and take the one type of an optional field; what stands beside them wins."""
    beside = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf"}}
    if "$ref" in schema:
        return _resolve({**definitions[schema["$ref"].rsplit("/", 1)[1]], **beside}, definitions)
    if "anyOf" in schema:
        (present,) = (option for option in schema["anyOf"] if option.get("type") != "null")
        return _resolve({**present, **beside}, definitions)
    return schema
