"""A handshake server is subscribed to what is wanted, resource by resource, and again in every session."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.outcome import FailureKind
from actors.upstream.resource_subscriptions import WINDOW
from tests.support.bus import UNHURRIED
from tests.support.conversations import Old, initialized
from tests.support.upstreams import SILENCE, Json, Refuse, always, handshake_server, ticks

SUBSCRIBABLE = {"tools": {}, "resources": {"subscribe": True}}


class Subscribers:
    """What a server makes of the requests it gets."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.server = handshake_server(capabilities=SUBSCRIBABLE)
        self.server.answers["resources/subscribe"] = self._subscribe
        self.server.answers["resources/unsubscribe"] = self._unsubscribe
        self.refused: set[str] = set()

    def _subscribe(self, params: Json) -> Json:
        if params["uri"] in self.refused:
            raise Refuse(jsonrpc.INVALID_PARAMS)
        self.held.add(params["uri"])
        return {}

    def _unsubscribe(self, params: Json) -> Json:
        self.held.remove(params["uri"])
        return {}


async def follow(old: Old, *uris: str) -> None:
    old.upstream.subscribe(frozenset(uris))
    await ticks(100)


@UNHURRIED
@given(st.lists(st.tuples(st.frozensets(st.sampled_from("abcdef")), st.integers(0, 3)), min_size=1, max_size=8))
async def test_the_server_always_ends_up_with_what_was_wanted_last(changes: list[tuple[frozenset[str], int]]):
    subscribers = Subscribers()
    old = await initialized(subscribers.server)

    for uris, pause in changes:
        old.upstream.subscribe(uris)
        await ticks(pause)
    await ticks(200)

    assert subscribers.held == changes[-1][0]


async def test_what_is_subscribed_already_is_not_subscribed_again():
    subscribers = Subscribers()
    old = await initialized(subscribers.server)

    await follow(old, "a:", "b:")
    await follow(old, "b:", "c:")

    assert old.server.params_of("resources/subscribe") == [{"uri": uri} for uri in ("a:", "b:", "c:")]
    assert old.server.params_of("resources/unsubscribe") == [{"uri": "a:"}]


async def test_two_requests_for_one_resource_never_overtake_each_other():
    old = await initialized(handshake_server(capabilities=SUBSCRIBABLE))
    old.server.answers["resources/subscribe"] = SILENCE
    await follow(old, "a:")

    await follow(old)
    early = list(old.server.methods)
    old.transport.deliver(b'{"id":%d,"result":{}}' % old.server.ids_of("resources/subscribe")[0])
    await ticks()

    assert "resources/unsubscribe" not in early
    assert old.server.params_of("resources/unsubscribe") == [{"uri": "a:"}]


async def test_many_subscriptions_are_made_a_few_at_a_time():
    old = await initialized(handshake_server(capabilities=SUBSCRIBABLE))
    old.server.answers["resources/subscribe"] = SILENCE

    await follow(old, *(f"r:{number}" for number in range(WINDOW + 3)))
    first = old.server.ids_of("resources/subscribe")
    old.transport.deliver(b'{"id":%d,"result":{}}' % first[0])
    await ticks()

    assert len(first) == WINDOW
    assert len(old.server.ids_of("resources/subscribe")) == WINDOW + 1


async def test_a_refused_subscription_holds_nothing_up_and_is_tried_again_at_the_next_change():
    subscribers = Subscribers()
    subscribers.refused = {"a:"}
    old = await initialized(subscribers.server)
    await follow(old, "a:", "b:")
    refused = len(old.server.params_of("resources/subscribe"))

    subscribers.refused = set()
    await follow(old, "a:", "b:", "c:")

    assert refused == 2
    assert subscribers.held == {"a:", "b:", "c:"}


async def test_a_resource_is_settled_when_the_server_has_agreed_or_refused_and_not_before():
    subscribers = Subscribers()
    subscribers.refused = {"b:"}
    old = await initialized(subscribers.server)
    await follow(old, "a:", "b:")
    answered = list(old.settled)

    old.server.answers["resources/subscribe"] = SILENCE
    await follow(old, "a:", "c:")

    assert answered == ["a:", "b:"]
    assert old.settled == answered


async def test_a_resource_that_is_given_up_meanwhile_is_not_settled():
    old = await initialized(handshake_server(capabilities=SUBSCRIBABLE))
    old.server.answers["resources/subscribe"] = SILENCE
    await follow(old, "a:")

    await follow(old)
    old.transport.deliver(b'{"id":%d,"result":{}}' % old.server.ids_of("resources/subscribe")[0])
    await ticks()

    assert old.settled == []


async def test_a_server_without_subscriptions_is_not_bothered():
    old = await initialized(handshake_server(capabilities={"resources": {"listChanged": True}}))

    await follow(old, "a:")

    assert "resources/subscribe" not in old.server.methods


async def test_a_new_session_is_subscribed_again_and_each_resource_counts_as_updated_once():
    subscribers = Subscribers()
    old = await initialized(subscribers.server)
    await follow(old, "a:", "b:")
    old.server.answers["tools/call"] = SILENCE
    number, listener = old.start()
    old.server.answers["tools/call"] = always({"content": []})
    subscribers.held.clear()

    old.transport.forget(number)
    await listener.outcome()
    await ticks(50)

    assert subscribers.held == {"a:", "b:"}
    assert old.updated == ["a:", "b:"]


async def test_answers_of_a_forgotten_session_do_not_confuse_the_next():
    subscribers = Subscribers()
    old = await initialized(subscribers.server)
    old.server.answers["resources/subscribe"] = SILENCE
    await follow(old, "a:")
    (asked,) = old.server.ids_of("resources/subscribe")
    old.server.answers["resources/subscribe"] = subscribers._subscribe

    old.transport.forgotten()
    await ticks(50)
    old.transport.fail(asked, FailureKind.UNAVAILABLE, "it does not know the session")
    await ticks()
    await follow(old)

    assert subscribers.held == set()
    assert old.server.params_of("resources/unsubscribe") == [{"uri": "a:"}]


async def test_updates_are_notified_wherever_they_come():
    old = await initialized(Subscribers().server)
    old.server.answers["tools/call"] = SILENCE
    number, _ = old.start()
    await follow(old, "a:", "b:")

    old.say("notifications/resources/updated", uri="a:")
    old.say_on(number, "notifications/resources/updated", uri="b:")

    assert old.updated == ["a:", "b:"]


async def test_subscriptions_end_quietly_with_the_connection():
    old: Any = await initialized(handshake_server(capabilities=SUBSCRIBABLE))
    old.server.answers["resources/subscribe"] = SILENCE
    await follow(old, *(f"r:{number}" for number in range(WINDOW * 3)))

    old.transport.lose("it crashed")
    await ticks(100)

    assert old.upstream._subscriptions._busy == set()
    assert json.dumps(old.updated) == "[]"
