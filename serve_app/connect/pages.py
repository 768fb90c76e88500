"""The few pages that a user sees on the way. No scripts, nothing from elsewhere, and all that is told is escaped."""

import base64
import hashlib
from html import escape
from typing import Final
from urllib.parse import urlsplit

import msgspec

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}"
    "button{font:inherit;padding:.5rem 1rem}code{background:#eee;padding:.1rem .3rem}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
)

_POLICY: Final = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-{}'; form-action {}"

NO_REFERRER: Final = (b"referrer-policy", b"no-referrer")

SAME_ORIGIN: Final = (b"referrer-policy", b"same-origin")
"""For the page with the form: with `no-referrer` browsers send `Origin: null` with it (Fetch, section 3.1), and nobody
could tell that it comes from here."""


class Page(msgspec.Struct, frozen=True):
    """What a browser gets."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def notice(status: int, title: str, *sentences: str, code: str = "") -> Page:
    """A page that only says something; `code` is a command to type."""
    typed = f"<p><code>{escape(code)}</code></p>" if code else ""
    told = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return _page(status, title, told + typed, "'none'", NO_REFERRER)


def question(backend: str, url: str, key: str, sealed: str) -> Page:
    """Whether the user wants to connect to a backend, whose authorization server has them go to `url`.

    `key` and `sealed` are what the form brings back.
    """
    parts = urlsplit(url)
    # what the form leads to is a redirect, which browsers hold against this field, too, however far it goes
    targets = "'self' https:" if parts.scheme == "https" else "'self' https: http:"
    body = (
        f"<p>An MCP client of yours wants to use the server <strong>{escape(backend)}</strong>. For that the gateway "
        "needs your leave to act for you there.</p>"
        f"<p>You go to <strong>{escape(parts.netloc)}</strong> to give it. Go on only if you have just asked your "
        "client for this yourself.</p>"
        f'<form method="post" action="/connect/{escape(backend)}">'
        f'<input type="hidden" name="key" value="{escape(key)}">'
        f'<input type="hidden" name="go" value="{escape(sealed)}">'
        f"<button>Go to {escape(parts.netloc)}</button></form>"
    )
    return _page(200, f"Connect to {backend}", body, targets, SAME_ORIGIN)


def sent(url: str, *cookies: tuple[bytes, bytes]) -> Page:
    """Send the browser elsewhere."""
    headers = ((b"location", url.encode()), (b"cache-control", b"no-store"), NO_REFERRER)
    return Page(303, b"", (*headers, *cookies))


def with_headers(page: Page, *more: tuple[bytes, bytes]) -> Page:
    """The page with more headers, such as cookies."""
    return msgspec.structs.replace(page, headers=(*page.headers, *more))


def _page(status: int, title: str, body: str, targets: str, referrer: tuple[bytes, bytes]) -> Page:
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
    policy = (b"content-security-policy", _POLICY.format(_STYLE_HASH, targets).encode())
    return Page(status, text.encode(), (*_HEADERS, policy, referrer))
