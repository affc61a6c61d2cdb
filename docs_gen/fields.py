"""The fields of a JSON schema as rows of a Markdown table."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    """One field, as a reader wants to know it."""

    path: str
    """Dotted path; `[]` stands for each item of a list."""
    type: str
    """Type, or the values to choose from."""
    default: str
    """Default as JSON; empty if there is none."""
    bounds: str
    """Limits of value and length."""
    description: str
    """The docstring of the field."""


def field_rows(schema: Schema, path: str) -> Iterator[FieldRow]:
    """Yield the fields below a schema of type object, each before its own fields."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        field_path = f"{path}.{name}" if path else name
        yield FieldRow(
            path=field_path,
            type=_type_of(field),
            default="required" if name in required else _default_of(field),
            bounds=_bounds_of(field),
            description=field.get("description", ""),
        )
        yield from field_rows(field, field_path)
        if field.get("type") == "array":
            yield from field_rows(field["items"], f"{field_path}[]")


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; a bar within a cell is escaped."""
    lines = [[cell.replace("|", r"\|") for cell in line] for line in (header, *rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: str) -> str:
    """Return the text as Markdown code, or nothing if there is none."""
    return f"`{text}`" if text else ""


def _type_of(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(code(value) for value in field["enum"])
    kind = field.get("type")
    if field.get("x-kubernetes-int-or-string") or isinstance(kind, list):
        return "quantity"
    if kind == "array":
        return f"list of {_type_of(field['items'])}"
    if kind == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type_of(field['additionalProperties'])}"
    if field.get("format") == "date-time":
        return "time"
    return str(kind)


def _default_of(field: Schema) -> str:
    # The default of an object repeats those of its fields.
    if "default" not in field or isinstance(field["default"], dict):
        return ""
    return code(json.dumps(field["default"], ensure_ascii=False))


def _bounds_of(field: Schema) -> str:
    parts = []
    if "minimum" in field:
        parts.append(f"{'>' if field.get('exclusiveMinimum') else '≥'} {field['minimum']:g}")
    if "maximum" in field:
        parts.append(f"≤ {_plain(field['maximum'])}")
    for unit, least, most in (("items", "minItems", "maxItems"), ("characters", "minLength", "maxLength")):
        if most in field:
            parts.append(f"{f'{field[least]} to' if field.get(least) else 'at most'} {field[most]} {unit}")
    if "maxProperties" in field:
        parts.append(f"at most {field['maxProperties']} entries")
    if "pattern" in field:
        parts.append(code(field["pattern"]))
    if field.get("type") == "array":
        parts += [f"each {bounds}" for bounds in [_bounds_of(field["items"])] if bounds]
    return ", ".join(parts)


def _plain(number: float) -> str:
    return f"{number:,d}" if isinstance(number, int) else f"{number:g}"
