"""The JSON schemas which the conformance tool looks for in what the conformance server offers and asks."""

from typing import Any, Final

SIZES: Final = {
    "type": "string",
    "enum": ["small", "medium", "large"],
    "enumNames": ["Small size", "Medium size", "Large size"],
}


def only(field: str, kind: str) -> dict[str, Any]:
    """The schema of a form with one field."""
    return {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}


def _titled(**titles: str) -> list[dict[str, str]]:
    return [{"const": value, "title": title} for value, title in titles.items()]


DEFAULTS: Final = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
    "required": [],
}
"""A default of every primitive type (SEP-1034)."""

ENUMS: Final = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": _titled(value1="First Option", value2="Second Option")},
        "legacyEnum": SIZES,
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": _titled(value1="First Choice", value2="Second Choice")}},
    },
    "required": [],
}
"""Every kind of choice (SEP-1330)."""

DIALECT_2020_12: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""The input of a tool, in the keywords that a gateway must not lose (SEP-1613, SEP-2106)."""
