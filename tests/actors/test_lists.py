"""Lists are read to their last page, exactly, and one that is broken does not take the others along."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.jsonrpc import ErrorObject, Object
from actors.core.listing import Facts, Item, Kind, Listing
from actors.core.outcome import FailureKind
from actors.core.revisions import LATEST_HANDSHAKE, Era
from actors.upstream.asking import UpstreamError
from actors.upstream.lists import PAGE_LIMIT, read_lists
from tests.support.bus import UNHURRIED

EVERYTHING = ("tools", "resources", "prompts")
REFUSED = UpstreamError("no", error=ErrorObject(-32603, "no"))


class Pages:
    """Answers list requests from a table of pages; keeps the cursors it was asked for."""

    def __init__(self, pages: Mapping[tuple[str, str | None], bytes | UpstreamError]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, str | None]] = []

    async def __call__(self, method: str, params: Object) -> bytes:
        cursor = json.loads(bytes(params["cursor"])) if "cursor" in params else None
        self.asked.append((method, cursor))
        page = self.pages[method, cursor]
        if isinstance(page, UpstreamError):
            raise page
        return page


def page(kind: str, *entries: Any, **more: Any) -> bytes:
    return json.dumps({kind: list(entries), **more}).encode()


def named(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


async def read(pages: Any, *capabilities: str, known: Listing | None = None) -> Listing:
    offered = json.dumps({capability: {} for capability in capabilities}).encode()
    facts = Facts(Era.HANDSHAKE, LATEST_HANDSHAKE, capabilities=offered)
    return await read_lists(pages, facts, "git", known or Listing())


def names(items: tuple[Item, ...]) -> list[str]:
    return [item.identity for item in items]


@UNHURRIED
@given(st.lists(st.lists(st.text(max_size=5), max_size=4), min_size=1, max_size=6))
async def test_all_pages_are_read_in_order_and_no_name_is_listed_twice(groups: list[list[str]]):
    last = len(groups) - 1
    pages = {
        ("tools/list", None if number == 0 else f"c{number}"): page(
            "tools", *named(*group), **({} if number == last else {"nextCursor": f"c{number + 1}"})
        )
        for number, group in enumerate(groups)
    }

    listing = await read(Pages(pages), "tools")

    assert names(listing.tools) == list(dict.fromkeys(name for group in groups for name in group))


async def test_entries_are_kept_byte_for_byte():
    body = b'{ "name" : "a\\u00e9",  "x-future": {"deep":[1.0, 1e2]}, "annotations":{"readOnlyHint":true} }'

    listing = await read(Pages({("tools/list", None): b'{"tools":[%b]}' % body}), "tools")

    assert listing.tools == (Item("aé", body),)


async def test_of_two_entries_with_one_name_the_first_is_kept():
    entries = [{"name": "a", "title": "first"}, {"name": "a", "title": "second"}]

    listing = await read(Pages({("tools/list", None): page("tools", *entries)}), "tools")

    assert [json.loads(item.body)["title"] for item in listing.tools] == ["first"]


async def test_every_kind_goes_by_its_own_identity():
    pages = Pages(
        {
            ("tools/list", None): page("tools", {"name": "t"}),
            ("resources/list", None): page("resources", {"uri": "r:1", "name": "n"}),
            ("resources/templates/list", None): page("resourceTemplates", {"uriTemplate": "r:{x}", "name": "n"}),
            ("prompts/list", None): page("prompts", {"name": "p"}),
        }
    )

    listing = await read(pages, *EVERYTHING)

    assert {kind: names(listing.of(kind)) for kind in Kind} == {
        Kind.TOOLS: ["t"],
        Kind.RESOURCES: ["r:1"],
        Kind.TEMPLATES: ["r:{x}"],
        Kind.PROMPTS: ["p"],
    }


async def test_a_list_is_asked_for_only_with_its_capability():
    pages = Pages({("prompts/list", None): page("prompts", {"name": "p"})})

    await read(pages, "prompts", "logging")

    assert pages.asked == [("prompts/list", None)]


async def test_a_cursor_goes_back_exactly_as_it_came():
    cursor = 'a"b\\c\u2028é'
    pages = Pages({("tools/list", None): page("tools", nextCursor=cursor), ("tools/list", cursor): page("tools")})

    await read(pages, "tools")

    assert pages.asked[-1] == ("tools/list", cursor)


async def test_the_same_cursor_twice_ends_the_list_with_what_was_read():
    pages = Pages(
        {
            ("tools/list", None): page("tools", *named("a"), nextCursor="x"),
            ("tools/list", "x"): page("tools", *named("b"), nextCursor="x"),
        }
    )

    listing = await read(pages, "tools")

    assert names(listing.tools) == ["a", "b"]
    assert len(pages.asked) == 2


async def test_endless_pages_end():
    asked = 0

    async def endless(method: str, params: Object) -> bytes:
        nonlocal asked
        asked += 1
        return page("tools", {"name": f"t{asked}"}, nextCursor=str(asked))

    listing = await read(endless, "tools")

    assert asked == len(listing.tools) == PAGE_LIMIT


BROKEN = {
    "refused": REFUSED,
    "not an object": b"[]",
    "no list": b'{"tools":7}',
    "too large": UpstreamError("too large", kind=FailureKind.TOO_LARGE),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_list_does_not_take_the_others_along(broken: bytes | UpstreamError):
    pages = Pages({("tools/list", None): broken, ("prompts/list", None): page("prompts", {"name": "p"})})

    listing = await read(pages, "tools", "prompts")

    assert names(listing.tools) == []
    assert names(listing.prompts) == ["p"]


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_what_was_known_of_a_broken_list_stays(broken: bytes | UpstreamError):
    known = Listing(tools=(Item("old", b'{"name":"old"}'),))

    listing = await read(Pages({("tools/list", None): broken}), "tools", known=known)

    assert listing == known


async def test_the_pages_before_a_refused_one_are_kept_when_nothing_was_known():
    pages = Pages({("tools/list", None): page("tools", *named("a"), nextCursor="x"), ("tools/list", "x"): REFUSED})

    assert names((await read(pages, "tools")).tools) == ["a"]


async def test_a_list_that_has_become_empty_is_empty():
    known = Listing(tools=(Item("old", b'{"name":"old"}'),))

    listing = await read(Pages({("tools/list", None): page("tools")}), "tools", known=known)

    assert listing == Listing()


@pytest.mark.parametrize("kind", [FailureKind.DISCONNECTED, FailureKind.TIMEOUT, FailureKind.UNAVAILABLE])
async def test_a_server_that_does_not_answer_has_no_listing(kind: FailureKind):
    with pytest.raises(UpstreamError):
        await read(Pages({("tools/list", None): UpstreamError("gone", kind=kind)}), "tools")


async def test_an_entry_that_cannot_be_named_is_left_out_alone():
    entries = [{"name": "a"}, {}, {"name": 7}, {"name": None}, "text", 5, None, [], {"name": "b"}]

    listing = await read(Pages({("tools/list", None): page("tools", *entries)}), "tools")

    assert names(listing.tools) == ["a", "b"]
