"""The way of a user to the authorization server and back (RFC 6749, 4.1; RFC 7636; RFC 8707; RFC 9207).

Pure: whoever calls brings the random texts.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode, urlsplit

from actors.core.oauth.metadata import ServerMetadata
from actors.core.url_guard import MAX_URL_CHARS, is_loopback, origin_of

S256: Final = "S256"

VERIFIER_BYTES: Final = 32
"""Make a verifier of 43 characters, as RFC 7636 recommends."""

OFFLINE: Final = "offline_access"
"""The scope that some authorization servers want for a refresh token (OpenID Connect Core, 11)."""


def server_fault(server: ServerMetadata) -> str:
    """Why no user can be sent there, or nothing. Rungs, in order:

    1. There is a page for users.
    2. It has proof keys for codes: whoever does not say so has none (2025-11-25, Authorization Code Protection).
    """
    if server.authorization_endpoint is None:
        return "its authorization server has no page for users"
    if S256 not in (server.code_challenge_methods_supported or ()):
        return "its authorization server does not say that it has proof keys for codes (S256)"
    return ""


def redirect_fault(redirect_uri: str) -> str:
    """Why a user cannot be sent back there, or nothing: it is https, or this machine of the user's own."""
    origin = origin_of(redirect_uri)
    if origin is None or urlsplit(redirect_uri).fragment:
        return "the redirect URI is no URL that a browser can be sent back to"
    if not origin.startswith("https://") and not is_loopback(redirect_uri):
        return "the redirect URI is neither https nor on the user's own machine"
    return ""


def verifier_of(raw: bytes) -> str:
    """A proof key of `VERIFIER_BYTES` random bytes (RFC 7636, 4.1)."""
    return _base64url(raw)


def challenge_of(verifier: str) -> str:
    """What is shown of a proof key beforehand (RFC 7636, 4.2)."""
    return _base64url(hashlib.sha256(verifier.encode()).digest())


def authorization_url(
    endpoint: str, client_id: str, redirect_uri: str, verifier: str, state: str, resource: str, scopes: Sequence[str]
) -> str:
    """What the browser opens. The endpoint may have a query of its own; what it says of ours is ours.

    Raises:
        ValueError: the endpoint names one of these parameters itself, or cannot be a URL with a query.
    """
    fields = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": S256,
        "state": state,
        "resource": resource,
        **({"scope": " ".join(scopes)} if scopes else {}),
    }
    if len(endpoint) > MAX_URL_CHARS:
        raise ValueError("the page of its authorization server has a URL that is too long")
    parts = urlsplit(endpoint)
    named = {each.partition("=")[0] for each in parts.query.split("&")}
    if parts.fragment or named & {*fields, "scope", "request", "request_uri"}:
        raise ValueError("the page of its authorization server has a URL that leaves us no say")
    return f"{endpoint}{'&' if parts.query else '?'}{urlencode(fields)}"


def issuer_fault(expected: str, named: str, *, always: bool) -> str:
    """Why an answer is not of the authorization server that was asked (RFC 9207, 2.4), or nothing.

    `named` is what it calls itself there, empty if it does not; `always` says that it has promised to. Texts are
    compared as they are.
    """
    if not named:
        return "the answer does not say which authorization server it is of" if always else ""
    same = hmac.compare_digest(named.encode(), expected.encode())
    return "" if same else "the answer is of another authorization server than the one that was asked"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
