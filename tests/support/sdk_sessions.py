"""What servers written with the SDK need in the handshake era and the SDK leaves to them.

They keep their sessions, subscriptions and the log level, and announce at `initialize` that their lists change.
"""

from collections import deque
from typing import Any, Protocol

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp_types import (
    EmptyResult,
    LoggingLevel,
    PaginatedRequestParams,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

Ctx = ServerRequestContext[Any, Any]


class SessionBook(Protocol):
    """What is kept of the handshake sessions of one server, all together."""

    sessions: deque[ServerSession]
    """The newest last."""
    subscribers: dict[str, list[ServerSession]]
    """By resource."""
    log_level: LoggingLevel | None
    """Of the last `logging/setLevel`."""


async def announce_changes(ctx: Ctx, call_next: CallNext) -> HandlerResult:
    """Middleware that announces change notifications at `initialize`, which the SDK would not let out."""
    result = await call_next(ctx)
    if ctx.method == "initialize" and isinstance(result, dict):
        for kind in ("tools", "prompts", "resources"):
            result["capabilities"][kind]["listChanged"] = True
    return result


def add_sessions(server: MCPServer[Any], book: SessionBook) -> None:
    """Keep the book of a server."""

    async def initialized(ctx: Ctx, params: Any) -> None:
        book.sessions.append(ctx.session)

    async def subscribe(ctx: Ctx, params: SubscribeRequestParams) -> EmptyResult:
        book.subscribers.setdefault(str(params.uri), []).append(ctx.session)
        return EmptyResult()

    async def unsubscribe(ctx: Ctx, params: UnsubscribeRequestParams) -> EmptyResult:
        uri = str(params.uri)
        kept = [one for one in book.subscribers.get(uri, ()) if one._connection is not ctx.session._connection]
        book.subscribers[uri] = kept
        return EmptyResult()

    async def set_level(ctx: Ctx, params: SetLevelRequestParams) -> EmptyResult:
        book.log_level = params.level
        return EmptyResult()

    low = server._lowlevel_server
    low.add_notification_handler("notifications/initialized", PaginatedRequestParams, initialized)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
