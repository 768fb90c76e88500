"""How a client is told that its user must first let the gateway act for them at a server: by a URL to open.

By era and capabilities (2026-07-28 and 2025-11-25, client/elicitation): an `input_required` with one question, after
which the same call is begun anew; the error -32042; or a text that names the URL. The call has not run.
"""

import secrets
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.client_capabilities import Capability, condense
from actors.core.elicitation import URL_SINCE
from actors.core.outcome import Failure, failure_error
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.time_limit import TOOLS_CALL
from actors.core.url_elicitation import url_error, url_requests, url_result
from serve_app.downstream.bridge import CONTINUED, Bridge, is_declined

KEY: Final = "only1mcp/connect"
"""The name of the question among those of an `input_required`; no server's own has it."""

ID_BYTES: Final = 16


def new_id() -> str:
    """Of an elicitation: no client must have seen it before."""
    return secrets.token_hex(ID_BYTES)


def hears_of_pages(client: Client) -> bool:
    """Whether a client is told, on a stream of its session, that its user is done with a page (2025-11-25)."""
    return client.era is Era.HANDSHAKE and bool(client.session) and _opens(client)


def invitation(request: Request, failure: Failure, url: str, bridge: Bridge, elicitation_id: str) -> bytes:
    """The response that has the user open `url`. Rungs, in order:

    1. Who has said that the user does not want to is not asked the same again at once.
    2. A modern client that opens URLs is asked to, where its request can be continued.
    3. So is one of 2025-11-25, by the error.
    4. Of any other a tool has failed, with a text for its model; other methods have an error with the URL.
    """
    client = request.client
    if is_declined(request.params, KEY):
        refused = msgspec.structs.replace(failure, detail="the user does not want to")
        return jsonrpc.error_response(request.id, failure_error(refused))
    message = f"Let the gateway act for you at the server {failure.backend!r}"
    error = url_error(message, url, elicitation_id)
    asks = list((url_requests(error) or {}).values())
    opens = _opens(client)
    if opens and client.era is Era.MODERN and request.method in CONTINUED:
        return jsonrpc.result_response(request.id, bridge.first({KEY: asks[0]}))
    if opens and client.era is Era.HANDSHAKE:
        return jsonrpc.error_response(request.id, error)
    text = url_result({KEY: asks[0]}) if request.method == TOOLS_CALL else None
    if text is not None:
        return jsonrpc.result_response(request.id, _for_era(client.era, text))
    told = msgspec.structs.replace(failure, detail=f"the user must open {url} first")
    return jsonrpc.error_response(request.id, failure_error(told))


def _opens(client: Client) -> bool:
    return Capability.ELICITATION_URL in condense(client.capabilities) and client.revision >= URL_SINCE


def _for_era(era: Era, result: bytes) -> bytes:
    return jsonrpc.with_member(result, "resultType", b'"complete"') if era is Era.MODERN else result
