"""How the gateway introduces itself to an authorization server that does not know it: by asking it to (RFC 7591), or
by a document that it publishes about itself (OAuth Client ID Metadata Document)."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.core.oauth.client import BASIC, NO_PROOF, POST, Client
from actors.core.url_guard import is_loopback

NAME: Final = "only1mcp"
"""What the user reads there of who asks."""

MAX_CHARS: Final = 2048
"""Of an id, and of a secret."""


class Registration(msgspec.Struct, frozen=True):
    """A client that was registered, and for which way back."""

    client: Client
    redirect_uri: str


class _Answer(msgspec.Struct):
    client_id: str
    client_secret: str | None = None
    token_endpoint_auth_method: str | None = None


_answer_decoder: Final = msgspec.json.Decoder(_Answer)
_decoder: Final = msgspec.msgpack.Decoder(Registration)


def chosen_method(supported: Sequence[str]) -> str:
    """How a client that is only now made known proves itself: by nothing if that is taken, for its codes have proof
    keys, and a secret that there is not cannot be lost."""
    return next((each for each in (NO_PROOF, BASIC, POST) if each in supported), BASIC)


def client_document(redirect_uris: Sequence[str], *, method: str = NO_PROOF) -> dict[str, Any]:
    """What a client says of itself; a document that is published also has its own URL as the `client_id`."""
    native = all(is_loopback(uri) for uri in redirect_uris)
    return {
        "client_name": NAME,
        "redirect_uris": list(redirect_uris),
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": "native" if native else "web",
    }


def read_registered(body: bytes, asked_method: str) -> Client:
    """The client in the answer to a registration (RFC 7591, 3.2.1).

    Raises:
        ValueError: there is none that could be used. The message repeats nothing of it.
    """
    try:
        answer = _answer_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("its authorization server answered the registration with something else") from None
    method, secret = answer.token_endpoint_auth_method or asked_method, answer.client_secret or ""
    if not _is_plain(answer.client_id) or (secret and not _is_plain(secret)):
        raise ValueError("its authorization server gave a client id or a secret that cannot be used")
    if method not in (NO_PROOF, BASIC, POST) or (method != NO_PROOF and not secret):
        raise ValueError("its authorization server wants the gateway to prove itself in a way that it cannot")
    return Client(answer.client_id, method, "" if method == NO_PROOF else secret)


def read_registration(value: bytes) -> Registration | None:
    """What was kept of one; nothing if that is of no form we know."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= MAX_CHARS and text.isprintable()
