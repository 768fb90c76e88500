"""Where a server of HTTP+SSE wants its messages: the `endpoint` event, read with suspicion."""

import re
from typing import Final

from yarl import URL

MAX_ADDRESS: Final = 8192
"""Bytes; a longer URL would not fit well into a request line."""

_ABOUT_SPACE: Final = re.compile(rb"[\x00-\x20\x7f]")


class AddressError(ValueError):
    """Messages cannot go there. Arguments: a sentence without paths or queries, which may be credentials."""


def post_url(stream: URL, data: bytes) -> URL:
    """The URL for messages, which the data of an `endpoint` event names relative to that of the stream.

    Our headers are for the origin that was configured, so no other may be named (the 2024-11-05 revision does not say
    so, and every SDK demands it).

    Raises:
        AddressError: it is not of the same origin, or not a URL.
    """
    address = data.strip()
    if len(address) > MAX_ADDRESS or _ABOUT_SPACE.search(address):
        raise AddressError("the endpoint it names is not a URL")
    try:
        url = stream.join(URL(address.decode()))
        origin = url.origin()
    except ValueError:
        raise AddressError("the endpoint it names is not a URL") from None
    if origin != stream.origin():
        raise AddressError(f"the endpoint it names is of another origin, {origin}")
    return url.with_user(None).with_fragment(None)
