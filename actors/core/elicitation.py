"""The parameters of `elicitation/create` in the form of the client's revision.

What differs, by `ElicitRequest` in the schema of each revision:

- Before 2025-06-18 there is no elicitation.
- Before 2025-11-25 there is only the form; a choice with titles is `enum` with `enumNames`, and there is no choice of
  several. Defaults that a client does not know are ignored by it.
- In 2025-11-25, and only there, mode `url` has an `elicitationId`.
"""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.impossible import Impossible, came_later
from actors.core.jsonrpc import Object
from actors.core.revisions import MODERN_REVISIONS

ELICITATION_SINCE: Final = "2025-06-18"
URL_SINCE: Final = "2025-11-25"
CHOICES_SINCE: Final = "2025-11-25"
ELICITATION_ID: Final = "elicitationId"
ID_UNTIL: Final = MODERN_REVISIONS[0]


def mode(params: Object) -> str:
    """The mode of an elicitation; none said is `form`."""
    return jsonrpc.text(params.get("mode")) or "form"


def elicitation_for(revision: str, params: bytes, elicitation_id: str) -> bytes | Impossible:
    """The parameters, a JSON object, for a client of `revision`; `params` itself if nothing must change.

    `elicitation_id` is given to an elicitation that needs an id and has none; the client must not have seen it before.
    What is not of the form of such parameters passes as it is.
    """
    if revision < ELICITATION_SINCE:
        return came_later("elicitation", ELICITATION_SINCE, revision)
    try:
        members = jsonrpc.decode_object(params)
        match mode(members):
            case "form":
                return params if revision >= CHOICES_SINCE else _form(revision, params, members)
            case _ if revision < URL_SINCE:
                return came_later("elicitation other than by form", URL_SINCE, revision)
            case "url":
                return _identified(revision, params, members, elicitation_id)
            case _:
                return params
    except msgspec.DecodeError:
        return params


def _identified(revision: str, params: bytes, members: Object, elicitation_id: str) -> bytes:
    wanted = revision < ID_UNTIL
    if wanted is (ELICITATION_ID in members):
        return params
    if wanted:
        return jsonrpc.encode({**members, ELICITATION_ID: jsonrpc.raw(elicitation_id)})
    del members[ELICITATION_ID]
    return jsonrpc.encode(members)


def _form(revision: str, params: bytes, members: Object) -> bytes | Impossible:
    schema = jsonrpc.decode_object(members.get("requestedSchema", b""))
    before = jsonrpc.decode_object(schema.get("properties", b""))
    told: Object = {}
    for name, each in before.items():
        asked = jsonrpc.decode_object(each)
        if jsonrpc.text(asked.get("type")) == "array":
            return came_later(f"a choice of several, as in {name[:64]!r},", CHOICES_SINCE, revision)
        told[name] = _with_enum_names(each, asked)
    if told == before:
        return params
    schema["properties"] = jsonrpc.raw(told)
    return jsonrpc.encode({**members, "requestedSchema": jsonrpc.raw(schema)})


def _with_enum_names(field: msgspec.Raw, members: Object) -> msgspec.Raw:
    """A choice of one with titles (`oneOf`), in the older form; any other field is given back as it is."""
    if "oneOf" not in members:
        return field
    options = [jsonrpc.decode_object(option) for option in jsonrpc.decode_list(members["oneOf"])]
    values = [jsonrpc.text(option.get("const")) for option in options]
    if not values or None in values:
        return field
    titles = [jsonrpc.text(option.get("title")) or value for option, value in zip(options, values, strict=True)]
    kept = {key: member for key, member in members.items() if key != "oneOf"}
    return jsonrpc.raw({**kept, "enum": jsonrpc.raw(values), "enumNames": jsonrpc.raw(titles)})
