"""What a client is told of how its call ended, as its era and its revision have it."""

import math
from collections.abc import Mapping
from typing import Final

from actors.core import jsonrpc
from actors.core.elicitation import URL_SINCE
from actors.core.outcome import Failure, FailureKind, Outcome, Reply, failure_error
from actors.core.principal import Principal
from actors.core.rendering import error_for, result_for
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.tasks import with_own_id
from actors.core.url_elicitation import url_requests, url_result
from actors.core.where import Where
from serve_app.connect.ticket import Asked
from serve_app.downstream.bridge import input_required
from serve_app.downstream.invited import hears_of_pages, invitation, new_id
from serve_app.downstream.ways import Ways
from serve_app.http import Headers

ERROR_STATUS: Final = {
    jsonrpc.PARSE_ERROR: 400,
    jsonrpc.INVALID_REQUEST: 400,
    jsonrpc.INVALID_PARAMS: 400,
    jsonrpc.HEADER_MISMATCH: 400,
    jsonrpc.MISSING_CLIENT_CAPABILITY: 400,
    jsonrpc.UNSUPPORTED_REVISION: 400,
    jsonrpc.METHOD_NOT_FOUND: 404,
}
"""The HTTP status that says a JSON-RPC error once more, to modern clients; other errors come with 200."""

NOT_ASKED: Final = "it asks the client something, and this client takes no streams, so it cannot be asked"
NOT_KNOWN: Final = "it gave a type of result that this client does not know"

Conclusion = tuple[int, bytes, Headers]
"""What `Responder.finish` takes: the HTTP status, the response, and the headers that go with it."""


def conclude(
    ways: Ways,
    request: Request,
    backend: str,
    end: Outcome,
    where: Where | None,
    headers: Mapping[bytes, bytes],
    principal: Principal,
) -> Conclusion:
    """The answer to a request whose call to this backend has ended so; the members of a reply are objects.

    `where` the call ran is known unless it never got there. `headers` are those of the request, if it has some, and
    `principal` is whose it is.
    """
    if isinstance(end, Reply) and end.is_error:
        return _error(ways, request, end, where)
    told = end if isinstance(end, Failure) else _result(ways, request, backend, end, where)
    if isinstance(told, Failure):
        return _failure(ways, request, told, headers, principal)
    return 200, jsonrpc.result_response(request.id, told), ()


def _failure(
    ways: Ways, request: Request, failure: Failure, headers: Mapping[bytes, bytes], principal: Principal
) -> Conclusion:
    if failure.kind is FailureKind.CONSENT:
        client, elicitation = request.client, new_id()
        asked = Asked(elicitation, client.session, client.endpoint) if hears_of_pages(client) else None
        url = ways.invitations.url(principal, failure.backend, headers, asked)
        return 200, invitation(request, failure, url, ways.bridge, elicitation), ()
    error = failure_error(failure)
    status = _status(request, jsonrpc.decode_error(error).code)
    if failure.kind is FailureKind.SESSION_LOST and request.client.endpoint:
        status = 404  # the session has ended with its state (2025-11-25, basic/transports, Session Management)
    return status, jsonrpc.error_response(request.id, error), _retry_after(failure)


def _error(ways: Ways, request: Request, reply: Reply, where: Where | None) -> Conclusion:
    """The error of a server. One that wants URLs opened first is told as the client's revision has that."""
    client, first = request.client, url_requests(reply.body)
    result = None
    if first and client.era is Era.MODERN and where is not None:
        result = ways.bridge.again(request, where, first)
    elif first and client.revision < URL_SINCE:
        result = url_result(first)
    if result is not None:
        return 200, jsonrpc.result_response(request.id, result), ()
    code, error = error_for(client.era, request.method, reply)
    return _status(request, code), jsonrpc.error_response(request.id, error), ()


def _result(ways: Ways, request: Request, backend: str, reply: Reply, where: Where | None) -> bytes | Failure:
    """The result that the client is shown, or why there is none. Between modern ones, in order:

    1. What the server wants to know first is asked, with its state sealed.
    2. A task has an id that leads back to its replica.
    """
    client = request.client
    place = where if client.era is Era.MODERN and reply.era is Era.MODERN else None
    members = None if place is None else input_required(reply.body)
    if place is not None and members is not None:
        return ways.bridge.handed(request, place, members)
    result = result_for(client.revision, request.method, reply)
    if result is None:
        detail = NOT_KNOWN if input_required(reply.body) is None else NOT_ASKED
        return Failure(FailureKind.UNSUPPORTED, backend, detail)
    if place is None:
        return result
    shown = with_own_id(ways.tasks, request, place.replica, result)
    return Failure(FailureKind.PROTOCOL, backend, "the id of its task is too long") if shown is None else shown


def _status(request: Request, code: int) -> int:
    return ERROR_STATUS.get(code, 200) if request.client.era is Era.MODERN else 200


def _retry_after(failure: Failure) -> Headers:
    """The header that says when to come back, in whole seconds, if that is known (RFC 9110, section 10.2.3).

    The status beside it is that of any answer: clients take others than 200 for a broken transport.
    """
    seconds = failure.retry_after
    return () if seconds is None else ((b"retry-after", b"%d" % max(1, math.ceil(seconds))),)
