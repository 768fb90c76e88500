"""What is known of tools whose arguments travel in HTTP headers too (2026-07-28, streamable-http, Custom Headers)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.headers import ANNOTATION, ParamHeader, headers_for, param_headers

MAX_TOOLS: Final = 10_000
"""Names remembered; with more of them everything is forgotten and learnt again."""
MAX_PAGES: Final = 1000
FETCH_SECONDS: Final = 30.0

FetchPage = Callable[[str | None], Awaitable[bytes | None]]
"""Gives the result of one `tools/list` for a cursor, as raw JSON; nothing if there was none."""

log = structlog.get_logger()


class _Tool(msgspec.Struct):
    name: str
    input_schema: msgspec.Raw = msgspec.field(name="inputSchema", default=msgspec.Raw())


class _Page(msgspec.Struct):
    tools: list[_Tool]
    next_cursor: str | None = msgspec.field(name="nextCursor", default=None)


_page_decoder: Final = msgspec.json.Decoder(_Page)


class ToolHeaders:
    """Learns from the lists that pass by, and asks for them once when a tool is called that no list has named."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[ParamHeader, ...]] = {}
        self._fetching = asyncio.Lock()

    def learn(self, result: bytes) -> str | None:
        """Take note of the tools on one page of a list; gives the cursor of the next one."""
        try:
            page = _page_decoder.decode(result)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.warning("tool_list_unreadable")
            return None
        for tool in page.tools:
            self._remember(tool.name, _annotated(bytes(tool.input_schema)))
        return page.next_cursor

    def forget(self) -> None:
        """The tools may have changed."""
        self._known.clear()

    async def headers(self, name: str, arguments: Mapping[str, Any], fetch: FetchPage) -> dict[str, str]:
        """The headers that repeat arguments of a call; none for a tool that is in no list."""
        if name not in self._known:
            async with self._fetching:
                if name not in self._known and await self._fetch(fetch):
                    self._known.setdefault(name, ())  # whoever calls what is not there does not cost a list each time
        return headers_for(self._known.get(name, ()), arguments)

    async def _fetch(self, fetch: FetchPage) -> bool:
        cursor: str | None = None
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                for _ in range(MAX_PAGES):
                    result = await fetch(cursor)
                    if result is None:
                        return False
                    cursor = self.learn(result)
                    if cursor is None:
                        return True
        except TimeoutError:
            log.warning("tool_list_late")
        return False

    def _remember(self, name: str, params: tuple[ParamHeader, ...]) -> None:
        if len(self._known) >= MAX_TOOLS and name not in self._known:
            self._known.clear()
        self._known[name] = params


def _annotated(schema: bytes) -> tuple[ParamHeader, ...]:
    if ANNOTATION.encode() not in schema:
        return ()
    try:
        return param_headers(jsonrpc.value(schema))
    except msgspec.DecodeError:
        return ()
