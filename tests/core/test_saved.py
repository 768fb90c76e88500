"""What is kept between two runs, and what of it still holds."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.core.endpoints import Endpoint, HttpEndpoint, SseEndpoint, StdioEndpoint
from actors.core.listing import Item, Listing
from actors.core.saved import SavedListing, SavedSession, digest_of, living
from actors.core.session_state import opened
from actors.core.settings import BackendSettings, Isolation
from actors.core.traffic_settings import PoolUrl
from tests.support.saved import facts, listings

SALT = b"s" * 16
NOW = 1_800_000_000.0

texts = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=4)
endpoints: st.SearchStrategy[Endpoint] = st.one_of(
    st.builds(
        StdioEndpoint,
        command=texts,
        args=st.lists(texts, max_size=2).map(tuple),
        env=st.dictionaries(texts, texts, max_size=2),
        cwd=st.none() | texts,
    ),
    st.builds(HttpEndpoint, url=texts.map("http://{}/".format), headers=st.dictionaries(texts, texts, max_size=2)),
    st.builds(SseEndpoint, url=texts.map("http://{}/".format)),
)


def backend(endpoint: Endpoint, **more: object) -> BackendSettings:
    return BackendSettings(name="git", endpoint=endpoint, **more)  # type: ignore[arg-type]


@given(endpoints, endpoints)
def test_two_digests_are_the_same_only_if_the_endpoints_are(one: Endpoint, other: Endpoint):
    digests = [digest_of(backend(each), SALT) for each in (one, other)]

    assert (digests[0] == digests[1]) is (one == other)


def test_lists_belong_to_a_server_as_long_as_the_same_one_is_reached():
    here = HttpEndpoint(url="http://a/", headers={"authorization": "Bearer one", "x": "y"})
    saved = SavedListing(SALT, digest_of(backend(here), SALT), Listing())

    assert saved.is_of(backend(HttpEndpoint(url="http://a/", headers={"x": "y", "authorization": "Bearer one"})))
    assert saved.is_of(backend(here, timeout=1.0, isolation=Isolation.SESSION))
    assert not saved.is_of(backend(HttpEndpoint(url="http://a/", headers={"authorization": "Bearer two", "x": "y"})))
    assert not saved.is_of(backend(here, urls=(PoolUrl(url="http://a/"), PoolUrl(url="http://b/"))))
    assert not saved.is_of(backend(here, runtime_env={"pip": ["x==2"]}))


def test_no_secret_and_no_digest_of_it_alone_is_kept():
    token = "a token of nobody's"
    settings = backend(StdioEndpoint(command="x", env={"TOKEN": token}))
    saved = [SavedListing(salt, digest_of(settings, salt), Listing()) for salt in (SALT, b"t" * 16)]

    assert all(token.encode() not in msgspec.msgpack.encode(each) for each in saved)
    assert saved[0].digest != saved[1].digest


@given(listings, st.none() | facts)
def test_what_a_server_had_is_read_as_it_was_written(listing: Listing, said: object):
    saved = SavedListing(SALT, b"d" * 32, listing, said)  # type: ignore[arg-type]

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(saved), type=SavedListing) == saved


def test_a_listing_that_a_later_version_wrote_with_more_in_it_is_read():
    later = [SALT, b"d" * 32, [[["a", b"{}"]], [], [], []], None, "more"]

    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(later), type=SavedListing)

    assert saved == SavedListing(SALT, b"d" * 32, Listing(tools=(Item("a", b"{}"),)))


@given(st.lists(st.floats(-1e4, 1e4), max_size=8), st.floats(1.0, 5000.0))
def test_sessions_go_on_with_the_time_they_had_left(ages: list[float], idle_seconds: float):
    saved = [SavedSession(opened(bytes([number]), "alice", b""), NOW - age) for number, age in enumerate(ages)]

    alive = living(saved, NOW, idle_seconds)

    idle = [seconds for _, seconds in alive]
    assert idle == sorted(idle, reverse=True)
    assert all(0 <= seconds < idle_seconds for seconds in idle)
    assert {state.nonce for state, _ in alive} == {
        each.state.nonce for each, age in zip(saved, ages, strict=True) if NOW - (NOW - age) < idle_seconds
    }
