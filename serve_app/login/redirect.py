"""Waits for the browser to come back from the provider, at a free port of this machine (RFC 8252, section 7.3)."""

import hmac
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

PATH: Final = "/callback"

TURN_SECONDS: Final = 0.1
"""How long one look for the browser takes, and at most the command after the browser."""

CLIENT_SECONDS: Final = 5.0
"""How long a connection may say nothing."""

_DONE: Final = b"<!doctype html><title>only1mcp</title><p>You can close this page and go back to the terminal."
_STRANGE: Final = b"<!doctype html><title>only1mcp</title><p>This is not the answer to what was begun here."


class RedirectError(Exception):
    """The browser brought no code; the message is a sentence for a person."""


class Redirect:
    """Listens from its beginning on. A context manager, so that the port is free again."""

    def __init__(self) -> None:
        self._state: str | None = None
        self._issuer = ""
        self._names_issuer = False
        self.issuer = ""
        """Whom the answer said that it is from; empty if it did not say."""
        self._found: str | RedirectError | None = None
        redirect = self

        class Page(BaseHTTPRequestHandler):
            timeout = CLIENT_SECONDS

            def do_GET(self) -> None:
                fits = redirect._take(self.path)
                body = _DONE if fits else _STRANGE
                self.send_response(200 if fits else 400)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.send_header("referrer-policy", "no-referrer")
                self.send_header("cache-control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so named there
                """Nothing: the request line has the code."""

        # browsers open connections that they may need later, and behind which others must not wait
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self._server.timeout = TURN_SECONDS
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{PATH}"

    def expect(self, state: str, issuer: str, *, names_issuer: bool) -> None:
        """Take the answer to this; before, nothing is an answer.

        `names_issuer` says that the provider names itself in its answer (RFC 9207).
        """
        self._issuer = issuer
        self._names_issuer = names_issuer
        self._state = state

    def __enter__(self) -> "Redirect":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def wait(self, seconds: float) -> str:
        """The code.

        Raises:
            RedirectError: the provider said no, another one answered, or nobody came in time.
        """
        until = time.monotonic() + seconds
        while self._found is None:
            if time.monotonic() >= until:
                raise RedirectError(f"nobody came back from the browser within {seconds:g} s")
            self._server.handle_request()
        if isinstance(self._found, RedirectError):
            raise self._found
        return self._found

    def _take(self, target: str) -> bool:
        """Look at what came. Rungs, in order:

        1. What is not about what was begun here is no answer to it: others may come to this port, too.
        2. It must be from the provider that was asked; another one might want the code of this one.
        3. Then the provider says no, or has a code.
        """
        parts = urlsplit(target)
        pairs = parse_qsl(parts.query, max_num_fields=20) if parts.query.count("&") < 20 else []
        said = dict(pairs)
        state = said.get("state", "").encode()
        fits = self._state is not None and hmac.compare_digest(state, self._state.encode())
        if parts.path != PATH or len(said) != len(pairs) or not fits:
            return False
        self.issuer = said.get("iss", "")
        if said.get("iss", self._issuer) != self._issuer or (self._names_issuer and "iss" not in said):
            self._found = RedirectError("the answer is not from the provider that was asked")
        elif "error" in said:
            word = said["error"] if said["error"].isprintable() else "error"
            self._found = RedirectError(f"the provider has refused: {word[:80]}")
        else:
            self._found = said.get("code") or RedirectError("the answer of the provider has no code")
        return True
