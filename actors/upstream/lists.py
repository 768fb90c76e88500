"""Reads every list of a server to its last page."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.listing import CAPABILITY, IDENTITY, LIST_METHODS, Facts, Item, Kind, Listing
from actors.core.outcome import FailureKind
from actors.upstream.asking import UpstreamError

LIST_LIMIT: Final = 15.0
"""Seconds for one page."""

PAGE_LIMIT: Final = 1000
"""Pages of one list; what lies beyond is left out."""

log = structlog.get_logger()

Ask = Callable[[str, jsonrpc.Object], Awaitable[bytes]]
"""Sends a list request with these parameters, gives its result."""


async def read_lists(ask: Ask, facts: Facts, backend: str, known: Listing) -> Listing:
    """All entries of all kinds that the server has the capability for.

    A list that it refuses does not take the others along: what was `known` of it stays, or else what could be read.

    Raises:
        UpstreamError: a page was not answered, or somebody must first agree to that.
    """
    items: dict[Kind, tuple[Item, ...]] = {}
    for method, kind in LIST_METHODS.items():
        if not facts.offers(CAPABILITY[kind]):
            continue
        found: dict[str, Item] = {}
        try:
            await _read_list(ask, method, kind, backend, found)
            items[kind] = tuple(found.values())
        except UpstreamError as error:
            if not error.answered or error.kind is FailureKind.CONSENT:
                raise  # who must agree first is told so, rather than that there is nothing
            log.warning("list_refused", backend=backend, method=method, reason=str(error))
            items[kind] = known.of(kind) or tuple(found.values())
    return Listing(
        items.get(Kind.TOOLS, ()),
        items.get(Kind.RESOURCES, ()),
        items.get(Kind.TEMPLATES, ()),
        items.get(Kind.PROMPTS, ()),
    )


async def _read_list(ask: Ask, method: str, kind: Kind, backend: str, found: dict[str, Item]) -> None:
    params: jsonrpc.Object = {}
    seen: set[bytes] = set()
    for _ in range(PAGE_LIMIT):
        result = await ask(method, params)
        try:
            page = jsonrpc.decode_object(result)
            for body in msgspec.json.decode(page.get(kind.value, b"[]"), type=list[msgspec.Raw]):
                item = _item(body, kind, backend)
                if item is not None:
                    found.setdefault(item.identity, item)
        except msgspec.DecodeError as error:
            raise UpstreamError(f"its answer to {method} is not of that form") from error
        cursor = bytes(page.get("nextCursor", b"null"))
        if cursor == b"null":
            return
        if cursor in seen:
            break
        seen.add(cursor)
        params = {"cursor": jsonrpc.raw_bytes(cursor)}
    log.warning("list_goes_in_circles", backend=backend, method=method, entries=len(found))


def _item(body: msgspec.Raw, kind: Kind, backend: str) -> Item | None:
    """One entry; one that cannot be named is left out, and does not take the others with it."""
    try:
        identity = jsonrpc.decode_text(jsonrpc.decode_object(body)[IDENTITY[kind]])
    except (KeyError, msgspec.DecodeError):
        log.warning("entry_without_identity", backend=backend, kind=kind.value)
        return None
    return Item(identity, bytes(body))
