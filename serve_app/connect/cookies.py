"""What one step of a browser leaves for the next one of the same browser: a sealed cookie for each step.

Each goes by a key that the next step brings along (the `state` of an answer, a field of a form) and opens with no
other; so several pages may be open at once, and a step that another browser began is nothing here.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from actors.core.timed_seal import TimedSeal
from serve_app.connect.ticket import TICKET_SECONDS, Ticket

NAME: Final = "only1mcp-connect-"

_NAME_DIGITS: Final = 16
"""Hexadecimal digits of a cookie's name which tell steps apart; that it opens is what proves one."""


class LoginBegun(msgspec.Struct, frozen=True, tag=True):
    """The browser was sent to a login provider; the key is the `state`."""

    ticket: Ticket
    provider: str
    nonce: str
    verifier: str
    expires: float

    def __repr__(self) -> str:
        return "LoginBegun"


class PageShown(msgspec.Struct, frozen=True, tag=True):
    """The user has proved who they are, and sees whom they would connect to; the key is a field of the form."""

    ticket: Ticket
    expires: float


class SentAway(msgspec.Struct, frozen=True, tag=True):
    """The browser was sent to the authorization server of the backend; the key is the `state`."""

    ticket: Ticket
    expires: float


S = TypeVar("S", LoginBegun, PageShown, SentAway)


class Cookies:
    """Seals and opens them, at any ingress replica that knows the secret."""

    def __init__(
        self,
        secret: bytes,
        wall_clock: Callable[[], float] = time.time,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._seal = TimedSeal(secret, "connect cookie", wall_clock, token_bytes)

    @property
    def until(self) -> float:
        """When a step that is taken now is over, in Unix seconds."""
        return self._seal.until(TICKET_SECONDS)

    def leave(self, key: str, step: LoginBegun | PageShown | SentAway, *, encrypted: bool) -> tuple[bytes, bytes]:
        """The header that leaves a step; `encrypted` says that the browser came with TLS."""
        return _header(key, self._seal.close(step, key), int(TICKET_SECONDS), encrypted=encrypted)

    def take(self, headers: Iterable[tuple[bytes, bytes]], key: str, kind: type[S], *, encrypted: bool) -> S | None:
        """The step that this browser was left with under this key, if its time is not over."""
        sealed = _value(headers, _name(key, encrypted=encrypted))
        return None if sealed is None else self._seal.open(sealed, key, kind)

    def remove(self, key: str, *, encrypted: bool) -> tuple[bytes, bytes]:
        """The header that takes a step away, so that it is taken once."""
        return _header(key, "", 0, encrypted=encrypted)


def _header(key: str, value: str, seconds: int, *, encrypted: bool) -> tuple[bytes, bytes]:
    # with TLS the prefix keeps neighbours under the same domain from writing it (RFC 6265bis, section 4.1.3.2)
    place = "Path=/; Secure" if encrypted else "Path=/connect"
    text = f"{_name(key, encrypted=encrypted)}={value}; {place}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
    return b"set-cookie", text.encode()


def _name(key: str, *, encrypted: bool) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()[:_NAME_DIGITS]
    return f"{'__Host-' if encrypted else ''}{NAME}{digest}"


def _value(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    """The value of a cookie; nothing if there is none, or several of the name."""
    sent = b";".join(value for field, value in headers if field == b"cookie").decode("latin-1")
    pairs = (pair.strip().partition("=") for pair in sent.split(";"))
    found = [value for key, _, value in pairs if key == name]
    return found[0] if len(found) == 1 else None
