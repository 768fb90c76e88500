"""Why an HTTP request had no MCP answer: errors of the client and statuses of the server, each translated once.

What is said here is read by clients and lands in logs, so it names an origin at most: a path or a query may be the
credential itself.
"""

import ssl
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from actors.core.outcome import FailureKind
from actors.transports.authorization import ConsentError, CredentialError


@dataclass(frozen=True, slots=True)
class Unanswered:
    """There is no answer, and none will come."""

    kind: FailureKind
    detail: str
    """For people; holds no secret."""


LOST: Final = (aiohttp.ClientError, OSError, ValueError)
"""What the client raises when a request cannot be sent or its answer not read to the end."""

CLOSED: Final = Unanswered(FailureKind.DISCONNECTED, "the connection was closed here")
NOT_CONNECTED: Final = Unanswered(FailureKind.UNAVAILABLE, "not connected")
SESSION_LOST: Final = Unanswered(FailureKind.UNAVAILABLE, "it forgot our session")

CREDENTIALS_REFUSED: Final = (401, 403)
"""What is said with these is meant for us: a client that believed it was meant would go and get another token."""

_STATUS_KINDS: Final = {
    429: FailureKind.UNAVAILABLE,
    503: FailureKind.UNAVAILABLE,
    502: FailureKind.DISCONNECTED,
    504: FailureKind.DISCONNECTED,
}
"""429 and 503 refuse a request; a proxy that says 502 or 504 may have passed it on before."""


def of_error(error: Exception, url: URL) -> Unanswered:
    """Translate one of `LOST`. Rungs, in order.

    1. There is no token for it, or it takes none that there is, or the user has not agreed yet: it has not run it.
    2. No connection was made, so nothing was sent.
    3. What came was not HTTP, or not in the encoding it claimed.
    4. A header or a URL could not be written, so nothing was sent, and another replica could not write it either.
    5. The connection broke, before or in the answer: the request may have run.
    """
    if isinstance(error, CredentialError):
        wants_consent = isinstance(error, ConsentError)
        return Unanswered(FailureKind.CONSENT if wants_consent else FailureKind.UNAUTHORIZED, str(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unanswered(FailureKind.UNAVAILABLE, f"cannot connect to {url.origin()}: {_reason(error)}")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unanswered(FailureKind.UNAVAILABLE, f"cannot connect to {url.origin()} in time")
    if isinstance(error, aiohttp.ClientResponseError):
        return Unanswered(FailureKind.PROTOCOL, "what it sent is not HTTP")
    if isinstance(error.__cause__, ContentEncodingError):
        return Unanswered(FailureKind.PROTOCOL, "its answer is not in the encoding it claims")
    if isinstance(error, ValueError):
        return Unanswered(FailureKind.UNSUPPORTED, "a header of this call cannot be written in HTTP")
    return Unanswered(FailureKind.DISCONNECTED, f"the connection to {url.origin()} was lost")


def of_status(status: int) -> Unanswered:
    """Translate a status of 400 or more whose body says nothing in JSON-RPC."""
    if status in CREDENTIALS_REFUSED:
        return Unanswered(FailureKind.UNAUTHORIZED, f"it refused our credentials ({status})")
    return Unanswered(_STATUS_KINDS.get(status, FailureKind.PROTOCOL), f"it answered HTTP {status}")


def of_redirect(url: URL, location: str) -> Unanswered:
    """Say where a redirect leads: following it would hand our headers to somebody who was not configured."""
    try:
        target = url.join(URL(location))
        if target.origin() != url.origin():
            where = f"to {target.origin()}"
        elif target.path == f"{url.path}/":
            where = "to the same URL with a slash at its end"
        else:
            where = "to another path"
    except ValueError:
        where = "to something that is not a URL"
    return Unanswered(FailureKind.PROTOCOL, f"it redirects {where}; configure the URL it should be")


def too_large(max_message_bytes: int) -> Unanswered:
    """Say that a message was not read to its end."""
    return Unanswered(FailureKind.TOO_LARGE, f"over {max_message_bytes} bytes")


def _reason(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        certificate_error = error.certificate_error
        reason = certificate_error.verify_message if isinstance(certificate_error, ssl.SSLCertVerificationError) else ""
        return f"its certificate is not accepted: {reason}" if reason else "its certificate is not accepted"
    return error.os_error.strerror or type(error.os_error).__name__
