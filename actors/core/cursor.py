"""Pages of a list, and the cursors that lead from one to the next.

A cursor names the backend and the upstream name of the entry before the page, so it means the same at every ingress
replica and survives changes elsewhere in the list (2026-07-28, server/utilities/pagination: opaque, and invalid ones
are refused).
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from actors.core import jsonrpc
from actors.core.catalogue import Entry
from actors.core.listing import Kind

_decoder: Final = msgspec.json.Decoder(tuple[str, str, str])


class Page(NamedTuple):
    """Some entries of a list, in its order."""

    entries: list[Entry]
    next: str | None
    """The cursor of the page after this, if there is one."""


def page_of(entries: Mapping[str, Entry], kind: Kind, cursor: str | None, size: int) -> Page | None:
    """The page that `cursor` leads to, of at most `size` entries; nothing if it leads nowhere, or not any more."""
    listed = list(entries.values())
    start = 0
    if cursor is not None:
        place = _read(cursor, kind)
        places = {(entry.backend, entry.upstream): number for number, entry in enumerate(listed)}
        if place is None or place not in places:
            return None
        start = places[place] + 1
    page = listed[start : start + size]
    more = start + size < len(listed)
    return Page(page, _write(page[-1], kind) if more else None)


def _write(entry: Entry, kind: Kind) -> str:
    body = jsonrpc.encode([kind.value, entry.backend, entry.upstream])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _read(cursor: str, kind: Kind) -> tuple[str, str] | None:
    try:
        body = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        of_kind, backend, upstream = jsonrpc.decode(_decoder, body)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    return (backend, upstream) if of_kind == kind.value else None
