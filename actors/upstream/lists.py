"""Reads every list of a server to its last page."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.listing import CAPABILITY, IDENTITY, LIST_METHODS, Facts, Item, Kind, Listing
from actors.upstream.asking import UpstreamError

PAGE_LIMIT: Final = 1000
"""Pages of one list; a server that goes on beyond it is going round in circles."""

log = structlog.get_logger()

Ask = Callable[[str, jsonrpc.Object], Awaitable[bytes]]
"""Sends a list request with these parameters, gives its result."""


async def read_lists(ask: Ask, facts: Facts, backend: str) -> Listing:
    """All entries of all kinds that the server has the capability for.

    Raises:
        UpstreamError: a page could not be had.
    """
    items: dict[Kind, tuple[Item, ...]] = {}
    for method, kind in LIST_METHODS.items():
        if CAPABILITY[kind] in facts.capabilities:
            items[kind] = await _read_list(ask, method, kind, backend)
    return Listing(
        items.get(Kind.TOOLS, ()),
        items.get(Kind.RESOURCES, ()),
        items.get(Kind.TEMPLATES, ()),
        items.get(Kind.PROMPTS, ()),
    )


async def _read_list(ask: Ask, method: str, kind: Kind, backend: str) -> tuple[Item, ...]:
    items: dict[str, Item] = {}
    params: jsonrpc.Object = {}
    seen: set[bytes] = set()
    for _ in range(PAGE_LIMIT):
        try:
            result = await ask(method, params)
        except UpstreamError as error:
            if error.error is None:
                raise
            # it promised the capability and refuses the list: its other lists are still of use
            log.info("list_refused", backend=backend, method=method, reason=str(error))
            return tuple(items.values())
        try:
            page = jsonrpc.decode_object(result)
            for body in msgspec.json.decode(page.get(kind.value, b"[]"), type=list[msgspec.Raw]):
                item = _item(body, kind, backend)
                if item is not None:
                    items.setdefault(item.identity, item)
            cursor = bytes(page.get("nextCursor", b"null"))
        except msgspec.DecodeError as error:
            raise UpstreamError(f"its answer to {method} is not of that form") from error
        if cursor == b"null":
            return tuple(items.values())
        if cursor in seen:
            raise UpstreamError(f"{method} gives the same cursor twice")
        seen.add(cursor)
        params = {"cursor": jsonrpc.raw_bytes(cursor)}
    raise UpstreamError(f"{method} has more than {PAGE_LIMIT} pages")


def _item(body: msgspec.Raw, kind: Kind, backend: str) -> Item | None:
    """One entry; one that cannot be named is left out, and does not take the others with it."""
    try:
        identity = msgspec.json.decode(jsonrpc.decode_object(body)[IDENTITY[kind]], type=str)
    except (KeyError, msgspec.DecodeError):
        log.warning("entry_without_identity", backend=backend, kind=kind.value)
        return None
    return Item(identity, bytes(body))
