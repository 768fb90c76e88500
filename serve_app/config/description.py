"""What a configuration amounts to, in lines for a terminal. Of secrets it shows names only."""

from collections.abc import Iterator, Mapping
from typing import Final

from actors.core.auth_settings import AuthSettings
from actors.core.endpoints import Endpoint, HttpEndpoint, SseEndpoint, StdioEndpoint, WebSocketEndpoint
from actors.core.settings import BackendSettings, Settings
from serve_app.config.boundaries import boundaries, counted

_KINDS: Final[Mapping[type[Endpoint], str]] = {
    StdioEndpoint: "stdio",
    HttpEndpoint: "http",
    SseEndpoint: "sse",
    WebSocketEndpoint: "websocket",
}


def description(settings: Settings, written: Mapping[str, str]) -> list[str]:
    """A line for each backend, and for its variables or headers if it has any; then the address, who may come in, and
    what and how much they may do and what is remembered of it, as far as anything says.

    `written` has, for each backend, its command line or URL without expanded variables; where it has none, nothing
    but the program or the kind is shown.
    """
    rows = [
        (backend.name, _KINDS[type(backend.endpoint)], written.get(backend.name, _bare(backend)), _numbers(backend))
        for backend in settings.backends
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = []
    for backend, row in zip(settings.backends, rows, strict=True):
        columns = [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]
        lines.append(printable("  ".join(columns)))
        lines.extend(printable(f"{'':{widths[0]}}  {names}") for names in _names(backend))
    return [*lines, *_door(settings)]


def _bare(backend: BackendSettings) -> str:
    return backend.endpoint.command if isinstance(backend.endpoint, StdioEndpoint) else ""


def _numbers(backend: BackendSettings) -> str:
    scale = backend.scale
    replicas = f"{scale.min} to {scale.max} replicas" if scale.min < scale.max else counted(scale.max, "replica")
    return f"{replicas}, timeout {backend.timeout:g} s"


def _names(backend: BackendSettings) -> Iterator[str]:
    if isinstance(backend.endpoint, StdioEndpoint):
        if backend.endpoint.env:
            yield f"env {', '.join(backend.endpoint.env)}"
    elif backend.endpoint.headers:
        yield f"headers {', '.join(backend.endpoint.headers)}"
    if backend.auth is not None:
        yield f"auth {backend.auth.kind.value}" + (f" as {backend.auth.client_id}" if backend.auth.client_id else "")


def _door(settings: Settings) -> Iterator[str]:
    yield f"server: {settings.server.origin}/mcp, {counted(settings.server.replicas, 'ingress replica')}"
    yield f"auth: {_who(settings.auth)}"
    yield from map(printable, boundaries(settings))


def _who(auth: AuthSettings | None) -> str:
    if auth is None:
        return "none, everyone who can reach the address may come in"
    issuers = [f"tokens of {issuer.issuer} ({', '.join(issuer.algorithms)})" for issuer in auth.issuers]
    keys = f"{counted(len(auth.api_keys), 'API key')} ({', '.join(key.name for key in auth.api_keys)})"
    own = [] if auth.tokens is None else [f"tokens of its own ({auth.tokens.algorithm})"]
    logins = [f"logins at {login.name}" for login in auth.logins]
    return printable(", ".join([*issuers, *own, *logins, *([keys] if auth.api_keys else [])]))


def printable(text: str) -> str:
    """The text on one line, unable to move a terminal's cursor."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text).rstrip()
