from hypothesis import given
from hypothesis import strategies as st

from actors.core.session_state import (
    MAX_CLIENT_INFO_BYTES,
    MAX_SUBSCRIPTION_BYTES,
    MAX_SUBSCRIPTIONS,
    Change,
    SessionState,
    SetLevel,
    Subscribe,
    Unsubscribe,
    changed,
    merged,
    opened,
)

NEW = opened(b"n" * 16, "alice", b'{"name":"c"}')

uris = st.sampled_from(["file:///a", "file:///b", "file:///c"])
changes = st.one_of(
    st.builds(SetLevel, st.sampled_from(["debug", "error"])), st.builds(Subscribe, uris), st.builds(Unsubscribe, uris)
)
histories = st.lists(changes, max_size=6)


def after(state: SessionState, history: list[Change]) -> SessionState:
    for change in history:
        state = changed(state, change)
    return state


def test_a_change_makes_a_newer_state_and_no_change_leaves_the_same_one() -> None:
    noisy = changed(NEW, SetLevel("debug"))
    subscribed = changed(noisy, Subscribe("file:///a"))

    assert (noisy.log_level, noisy.version) == ("debug", 2)
    assert (subscribed.subscriptions, subscribed.version) == (("file:///a",), 3)
    assert changed(subscribed, SetLevel("debug")) is subscribed
    assert changed(subscribed, Subscribe("file:///a")) is subscribed
    assert changed(subscribed, Unsubscribe("file:///b")) is subscribed
    assert changed(subscribed, Unsubscribe("file:///a")).subscriptions == ()


def test_a_session_has_so_many_subscriptions_and_no_more() -> None:
    full = after(NEW, [Subscribe(f"file:///{number}") for number in range(MAX_SUBSCRIPTIONS)])

    assert len(full.subscriptions) == MAX_SUBSCRIPTIONS
    assert changed(full, Subscribe("file:///another")) is full
    assert "file:///another" in after(full, [Unsubscribe("file:///7"), Subscribe("file:///another")]).subscriptions


def test_long_uris_count_by_their_bytes() -> None:
    half = "é" * (MAX_SUBSCRIPTION_BYTES // 4)
    full = after(NEW, [Subscribe(half), Subscribe(half[1:] + "/b")])

    assert len(full.subscriptions) == 2
    assert changed(full, Subscribe("c")) is full


def test_a_client_that_says_too_much_of_itself_is_not_quoted() -> None:
    assert opened(b"", "alice", b"x" * MAX_CLIENT_INFO_BYTES).client_info != b""
    assert opened(b"", "alice", b"x" * (MAX_CLIENT_INFO_BYTES + 1)).client_info == b""


@given(histories, histories)
def test_of_two_states_the_newer_one_holds(common: list[Change], more: list[Change]) -> None:
    older = after(NEW, common)
    newer = after(older, more)

    assert merged(older, newer) == newer
    assert merged(newer, older) == newer


@given(histories, histories)
def test_who_knew_different_things_agrees_once_the_merged_state_is_told(
    here: list[Change], there: list[Change]
) -> None:
    known, told = after(NEW, here), after(NEW, there)

    agreed = merged(known, told)

    assert merged(agreed, told) == merged(told, agreed) == agreed
    assert merged(agreed, known) == merged(known, agreed) == agreed
    if known.version == told.version:
        assert set(agreed.subscriptions) == {*known.subscriptions, *told.subscriptions}


def test_a_state_that_was_assumed_takes_nothing_from_one_that_is_known() -> None:
    known = changed(NEW, SetLevel("debug"))
    assumed = SessionState(NEW.nonce, "alice")
    busy = after(assumed, [Subscribe("file:///a"), Subscribe("file:///b"), SetLevel("error")])

    assert merged(known, assumed) == merged(assumed, known) == known
    assert merged(known, busy).client_info == known.client_info
