"""The schema of the chart's values: inferred from them, refined by shapes.yaml, settings as the service has them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import json, structs

from service.settings import PREFIX, Settings

CHART = Path(__file__).parents[2] / "charts" / "retrieval"
SHAPES = Path(__file__).with_name("shapes.yaml")
OF_THE_CHART = frozenset(
    {
        "api_keys_file",
        "data_dir",
        "listen",
        "redis_password",
        "redis_url",
        "weaviate_api_key",
        "weaviate_grpc_address",
        "weaviate_url",
        "workers",
    }
)
"""Settings that follow from other values, or that are secrets."""
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}

Schema = dict[str, Any]


def values_schema() -> Schema:
    """Return the schema of values.yaml, which no value but those known there passes."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    written = yaml.safe_load(SHAPES.read_text())
    shapes: dict[str, Schema] = written["shapes"]
    schema = _shape(values, "", {**shapes, "settings": settings_schema()})
    if unknown := shapes.keys() - set(_paths(values)):
        raise ValueError(f"shapes.yaml names values that do not exist: {sorted(unknown)}")
    schema["properties"]["global"] = {"type": "object"}  # helm gives it to a chart that another one depends on
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart retrieval",
        **schema,
        "allOf": [_rule(rule) for rule in written["rules"]],
    }


def settings_schema() -> Schema:
    """Return the schema of `settings`: the service's settings by lower-case name, but those of the chart."""
    own = [field for field in structs.fields(Settings) if field.name not in OF_THE_CHART]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["store", "request_deadline_seconds"],
        "properties": {field.name: _setting(field) for field in own},
    }


def _setting(field: structs.FieldInfo) -> Schema:
    """Return a setting's schema; its default is a description, for as `default` it would be read as the chart's."""
    return {"description": f"{PREFIX}{field.encode_name}, by default {field.default!r}", **json.schema(field.type)}


def _shape(value: object, path: str, shapes: Mapping[str, Schema]) -> Schema:
    given = shapes.get(path, {})
    if "type" in given:
        return given
    if isinstance(value, dict):
        below = {name: _shape(one, f"{path}.{name}".lstrip("."), shapes) for name, one in value.items()}
        # Templates look into maps: one that is taken away by null is refused here, not by a nil pointer there.
        maps = sorted(name for name, one in value.items() if isinstance(one, dict))
        return {"type": "object", "additionalProperties": False, "properties": below, "required": maps}
    kind = TYPES.get(type(value))
    if kind is None:
        raise ValueError(f"shapes.yaml must give the type of {path}")
    return {"type": kind, **({"minimum": 0} if kind == "integer" else {}), **given}


def _paths(value: object, path: str = "") -> list[str]:
    below = value.items() if isinstance(value, dict) else ()
    return [path, *(found for name, one in below for found in _paths(one, f"{path}.{name}".lstrip(".")))]


def _rule(rule: Mapping[str, Any]) -> Schema:
    possible = [_demand(demands) for demands in rule["then"]]
    return {
        "$comment": rule["because"],
        "if": _demand(rule["if"]),
        "then": possible[0] if len(possible) == 1 else {"anyOf": possible},
    }


def _demand(demands: Mapping[str, Schema]) -> Schema:
    """Return a schema that all the values at the paths must meet, present or not."""
    whole: Schema = {}
    for path, shape in demands.items():
        place = whole
        for name in path.split("."):
            place["required"] = sorted({*place.get("required", []), name})
            place = place.setdefault("properties", {}).setdefault(name, {})
        place.update(shape)
    return whole
