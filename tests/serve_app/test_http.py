"""Requests read whole, and responses written."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.http import BodyTooLarge, BodyTooSlow, ClientGone, header_map, read_body

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def arriving(*parts: bytes, gone: bool = False) -> Receive:
    """The parts of a body, then nothing, or the news that the client is gone."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if gone:
        messages.append({"type": "http.disconnect"})
    elif messages:
        messages[-1]["more_body"] = False

    async def receive() -> MutableMapping[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return receive


@given(parts=st.lists(st.binary(max_size=20), min_size=1), room=st.integers(-2, 2))
def test_a_body_is_the_sum_of_its_parts_or_too_large(parts: list[bytes], room: int) -> None:
    whole = b"".join(parts)
    limit = len(whole) + room

    async def read() -> bytes | None:
        try:
            return await read_body(arriving(*parts), {}, limit)
        except BodyTooLarge:
            return None

    assert asyncio.run(read()) == (whole if len(whole) <= limit else None)


@pytest.mark.parametrize(("announced", "refused"), [(b"11", True), (b"10", False), (b"x", False), (b"", False)])
async def test_a_body_that_says_it_is_too_large_is_not_read(announced: bytes, refused: bool) -> None:
    receive = arriving(b"0123456789")
    headers = {b"content-length": announced}

    if refused:
        with pytest.raises(BodyTooLarge):
            await read_body(receive, headers, 10)
        assert (await receive())["body"] == b"0123456789"
    else:
        assert await read_body(receive, headers, 10) == b"0123456789"


@pytest.mark.parametrize("parts", [(), (b"some",), (b"some", b"more")])
async def test_a_client_that_leaves_before_its_body_is_whole_is_gone(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(ClientGone):
        await read_body(arriving(*parts, gone=True), {}, 10)


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    with pytest.raises(BodyTooSlow):
        await read_body(arriving(), {}, 10, seconds=0.01)


def test_the_values_of_a_repeated_header_are_joined() -> None:
    found = header_map([(b"accept", b" a/b "), (b"host", b"x"), (b"accept", b"c/d")])

    assert found == {b"accept": b"a/b, c/d", b"host": b"x"}
