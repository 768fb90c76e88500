"""Error -32042 of 2025-11-25, "open these URLs first", in the forms of other revisions.

A modern client gets asks in `inputRequests`, one before 2025-11-25 a text that names the URLs, one of 2025-11-25 the
error as it is (2025-11-25, client/elicitation, URL Elicitation Required Error).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.core import ask, jsonrpc
from actors.core.ask_forms import without_envelope
from actors.core.blocks import text_block
from actors.core.elicitation import ELICITATION_ID
from actors.core.jsonrpc import Object

URL_ELICITATION_REQUIRED: Final = -32042

ELICIT: Final = "elicitation/create"


def url_error(message: str, url: str, elicitation_id: str) -> bytes:
    """The error that asks for one URL; no client must have seen the id before."""
    elicitation = {"mode": "url", "elicitationId": elicitation_id, "url": url, "message": message}
    return jsonrpc.error(URL_ELICITATION_REQUIRED, message, {"elicitations": [elicitation]})


def url_requests(error: bytes) -> dict[str, bytes] | None:
    """The asks that a modern client must answer before it tries again, by the key of each.

    `error` is a JSON-RPC error object. Nothing, if that is not what it says, or it names no URL where it should.
    """
    try:
        told = jsonrpc.decode_error(error)
        if told.code != URL_ELICITATION_REQUIRED:
            return None
        data = jsonrpc.decode_object(jsonrpc.decode_object(error).get("data", b""))
        elicitations = jsonrpc.decode_list(data.get("elicitations", b"[]"))
        asks = {f"url-{number}": _url_ask(each, told.message) for number, each in enumerate(elicitations, start=1)}
    except msgspec.DecodeError:
        return None
    return asks or None


def url_result(requests: Mapping[str, bytes]) -> bytes | None:
    """A failed result of `tools/call` whose text names the URLs, for a client that cannot be asked to open them.

    `requests` are the asks of `inputRequests`, by key; those that are no elicitation by URL do not count. Nothing, if
    there is no other.
    """
    lines = [line for line in map(_line, requests.values()) if line is not None]
    if not lines:
        return None
    text = "\n".join(["The user must open this first, and then the tool can be called again:", *lines])
    return jsonrpc.encode({"content": [text_block(text)], "isError": True})


def _url_ask(params: msgspec.Raw, message: str) -> bytes:
    members = jsonrpc.decode_object(params)
    if _url(members) is None:
        raise msgspec.DecodeError("no elicitation by URL")
    members.pop(ELICITATION_ID, None)
    members["mode"] = jsonrpc.raw("url")
    if jsonrpc.text(members.get("message")) is None:
        members["message"] = jsonrpc.raw(message)
    return ask.ask(ELICIT, without_envelope(jsonrpc.encode(members)))


def _line(request: bytes) -> str | None:
    try:
        question = jsonrpc.decode_object(request)
        members = jsonrpc.decode_object(question.get("params", b""))
    except msgspec.DecodeError:
        return None
    url = _url(members) if jsonrpc.text(question.get("method")) == ELICIT else None
    if url is None:
        return None
    message = jsonrpc.text(members.get("message"))
    return f"{message}: {url}" if message else url


def _url(members: Object) -> str | None:
    return jsonrpc.text(members.get("url")) if jsonrpc.text(members.get("mode")) in {"url", None} else None
