"""The bodies of OAuth requests, and the errors that answer them (RFC 6749, appendix B and section 5.2)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from serve_app.http import HttpRequest, read_body

MAX_FORM_BYTES: Final = 32 * 1024
"""Two tokens of the largest size."""

MAX_FIELDS: Final = 30

FORM: Final = b"application/x-www-form-urlencoded"


class OAuthError(msgspec.Struct, frozen=True):
    """Why a request gets nothing."""

    error: str
    """One of the words of the specification."""
    description: str = ""
    """For developers; it repeats nothing of the request."""
    status: int = 400
    headers: tuple[tuple[bytes, bytes], ...] = ()


def invalid(description: str) -> OAuthError:
    """The request makes no sense."""
    return OAuthError("invalid_request", description)


async def read_form(request: HttpRequest) -> Mapping[str, str] | OAuthError:
    """The fields of a request; one without a value counts as not sent.

    Raises:
        BodyTooLarge, BodyTooSlow, ClientGone: see `read_body`.
    """
    kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != FORM:
        return invalid(f"the body must be {FORM.decode()}")
    limit = min(MAX_FORM_BYTES, request.max_body_bytes)
    body = await read_body(request.receive, request.headers, limit, request.body_seconds)
    try:
        pairs = parse_qsl(body.decode("ascii"), strict_parsing=bool(body), errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        return invalid("the body cannot be read")
    fields = dict(pairs)
    if len(fields) != len(pairs):
        return invalid("a parameter was sent more than once")
    return fields
