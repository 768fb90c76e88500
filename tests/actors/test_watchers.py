"""Who watches a resource hears of its updates, whatever is lost in between; the server is asked once for all."""

import json
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.core import jsonrpc
from actors.core.jsonrpc import Message, decode_message
from actors.core.outcome import Failure, FailureKind
from actors.upstream.upstream import settled
from actors.watchers import Watch, Watchers
from tests.support.bus import CALL, UNHURRIED, KeepingOutlet, exchange_id
from tests.support.upstreams import ticks

_ids = count(1)


class HandUpstream:
    """An adapter that only keeps what it was asked to hear of."""

    def __init__(self) -> None:
        self.wanted: list[set[str]] = []

    def subscribe(self, uris: frozenset[str]) -> None:
        self.wanted.append(set(uris))


class Watching(Watch):
    """A watch whose events are kept as they are read."""

    def __init__(self, *uris: str, room: int = 256) -> None:
        limits = ExchangeSettings(max_unread_events=room)
        exchange = Exchange(
            exchange_id(next(_ids)), CALL, backend="git", settings=limits, max_data_bytes=1 << 20, ended=lambda _: None
        )
        self.outlet = KeepingOutlet()
        exchange.attach(self.outlet, 1, after=0)
        super().__init__(exchange, uris)

    @property
    def heard(self) -> list[Any]:
        """The parameters of every update so far."""
        return [json.loads(event.data) for event in self.outlet.events]

    def read(self) -> None:
        """Have read everything so far."""
        self.exchange.grant(self.exchange.last_seq)


def updated(uri: str, **more: Any) -> Message:
    return decode_message(
        jsonrpc.notification("notifications/resources/updated", json.dumps({"uri": uri, **more}).encode())
    )


async def test_an_update_reaches_those_who_watch_that_resource_in_the_servers_words():
    watchers, one, both, other = Watchers(), Watching("a://1"), Watching("a://1", "a://2"), Watching("a://2")
    for watch in (one, both, other):
        watchers.add(watch)

    watchers.heard(updated("a://1", title="t"))

    assert [watch.heard for watch in (one, both, other)] == [[{"uri": "a://1", "title": "t"}]] * 2 + [[]]


async def test_an_update_of_a_part_reaches_those_who_watch_the_whole_once():
    watchers, whole, part = Watchers(), Watching("file:///srv", "file:///srv/x"), Watching("file:///srv/y")
    watchers.add(whole)
    watchers.add(part)

    watchers.heard(updated("file:///srv/x/1"))

    assert whole.heard == [{"uri": "file:///srv/x/1"}]
    assert part.heard == []


async def test_other_messages_and_updates_of_nothing_are_nobodys():
    watchers, watch = Watchers(), Watching("a://1")
    watchers.add(watch)

    watchers.heard(decode_message(jsonrpc.notification("notifications/message", b'{"uri":"a://1"}')))
    watchers.heard(decode_message(jsonrpc.notification("notifications/resources/updated", b'{"uri":1}')))

    assert watch.heard == []


async def test_the_server_is_asked_for_all_resources_at_once_and_only_when_they_change():
    watchers, upstream = Watchers(), HandUpstream()
    watchers.follow(upstream)
    one, other, same = Watching("a://1"), Watching("a://2"), Watching("a://1")
    for watch in (one, other, same):
        watchers.add(watch)
    await ticks()
    watchers.discard(one)
    await ticks()
    watchers.discard(same)
    await ticks()

    assert upstream.wanted == [{"a://1", "a://2"}, {"a://2"}]


async def test_a_server_that_nobody_watches_is_asked_for_nothing():
    watchers, upstream, watch = Watchers(), HandUpstream(), Watching("a://1")

    watchers.follow(upstream)
    await ticks()
    watchers.add(watch)
    watchers.discard(watch)
    await ticks()

    assert upstream.wanted == []


async def test_after_a_loss_the_server_is_asked_again_and_whoever_it_was_told_of_hears_that_all_may_differ():
    watchers, first, second = Watchers(), HandUpstream(), HandUpstream()
    before, meanwhile = Watching("a://1", "a://2"), Watching("a://2")
    watchers.add(before)
    watchers.follow(first)
    await ticks()
    nothing_yet = list(before.heard)

    watchers.follow(None)
    watchers.add(meanwhile)
    await ticks()
    watchers.follow(second)
    await ticks()

    assert nothing_yet == []
    assert before.heard == [{"uri": "a://1"}, {"uri": "a://2"}]
    assert meanwhile.heard == []
    assert (first.wanted, second.wanted) == ([{"a://1", "a://2"}], [{"a://1", "a://2"}])


async def test_a_watch_begins_once_when_the_server_has_answered_for_all_of_its_resources():
    watchers, upstream, both = Watchers(), HandUpstream(), Watching("a://1", "a://2")
    watchers.add(both)
    watchers.heard(settled("a://2"))
    watchers.follow(upstream)
    await ticks()

    watchers.heard(settled("a://1"))
    watchers.heard(settled("a://3"))
    early = list(both.heard)
    watchers.heard(settled("a://2"))
    watchers.heard(settled("a://2"))
    watchers.add(late := Watching("a://1"))
    await ticks()

    assert early == []
    assert (both.heard, late.heard) == ([{}], [{}])


async def test_what_was_settled_before_a_loss_or_by_nobody_any_more_is_open_again():
    watchers, first, second = Watchers(), Watching("a://1"), Watching("a://1")
    for watch in (first, second):
        watchers.add(watch)
        watchers.follow(HandUpstream())
        await ticks()
        watchers.heard(settled("a://1"))
        watchers.discard(watch)
        await ticks()
    watchers.add(third := Watching("a://1"))
    await ticks()

    assert (first.heard, second.heard, third.heard) == ([{}], [{}], [])


async def test_a_slow_reader_is_owed_each_resource_once_and_paid_when_there_is_room():
    watchers, slow = Watchers(), Watching("a://1", "a://2", room=1)
    watchers.add(slow)

    for number in range(5):
        watchers.heard(updated("a://1", number=number))
        watchers.heard(updated("a://2", number=number))
    slow.pay()
    unread = list(slow.heard)
    for _ in range(4):
        slow.read()
        slow.pay()

    assert unread == [{"uri": "a://1", "number": 0}]
    assert slow.heard == [*unread, {"uri": "a://2"}, {"uri": "a://1"}]


async def test_a_finished_exchange_disturbs_nobody():
    watchers, gone, here = Watchers(), Watching("a://1"), Watching("a://1")
    watchers.add(gone)
    watchers.add(here)
    gone.exchange.finish(Failure(FailureKind.CANCELLED, "git"))

    watchers.heard(updated("a://1"))

    assert (gone.heard, here.heard) == ([], [{"uri": "a://1"}])


uris = st.sampled_from(["a://1", "a://1/x", "a://2", "b:1"])


@UNHURRIED
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.lists(uris, min_size=1, unique=True)),
            st.tuples(st.just("discard"), st.integers(0, 5)),
            st.tuples(st.sampled_from(["lose", "tick", "follow"])),
        )
    )
)
async def test_once_all_is_quiet_the_server_is_always_asked_for_just_what_is_watched(steps: list[tuple[Any, ...]]):
    watchers, upstream = Watchers(), HandUpstream()
    watching: list[Watching] = []
    for step in steps:
        match step:
            case ("add", wanted):
                watching.append(Watching(*wanted))
                watchers.add(watching[-1])
            case ("discard", index) if index < len(watching):
                watchers.discard(watching.pop(index))
            case ("lose",):
                watchers.follow(None)
            case ("follow",):
                watchers.follow(upstream := HandUpstream())
            case ("tick",):
                await ticks(2)
    watchers.follow(upstream := HandUpstream())
    await ticks(2)

    expected = {uri for watch in watching for uri in watch.uris}
    assert upstream.wanted == ([expected] if expected else [])
    assert bool(watchers) == bool(watching)
