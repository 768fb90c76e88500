from hypothesis import given
from hypothesis import strategies as st

from actors.core.binding import Binding, binding_at
from actors.core.session_state import (
    MAX_CLIENT_INFO_BYTES,
    MAX_COMPLETED,
    MAX_SUBSCRIPTION_BYTES,
    MAX_SUBSCRIPTIONS,
    Bind,
    Change,
    Complete,
    Lose,
    SessionState,
    SetLevel,
    Subscribe,
    Unsubscribe,
    changed,
    merged,
    newer,
    opened,
)
from actors.core.tokens.revocations import Credential

NEW = opened(b"n" * 16, "alice", b'{"name":"c"}')

uris = st.sampled_from(["file:///a", "file:///b", "file:///c"])
bound = st.builds(Binding, st.sampled_from(["git", "db"]), st.integers(1, 3), st.integers(0, 1), st.just("e1"))
changes = st.one_of(
    st.builds(Complete, st.sampled_from(["e1", "e2"])),
    st.builds(SetLevel, st.sampled_from(["debug", "error"])),
    st.builds(Subscribe, uris),
    st.builds(Unsubscribe, uris),
    st.builds(Bind, bound),
    st.builds(Lose, bound),
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


def test_a_session_is_bound_once_and_loses_only_what_it_has() -> None:
    first, second = Binding("git", 1, 0, "e1"), Binding("git", 1, 1, "e1")
    bound = changed(NEW, Bind(first))
    lost = changed(bound, Lose(first))

    assert (bound.bindings, bound.version) == ((first,), 2)
    assert changed(bound, Bind(second)) is bound
    assert changed(bound, Lose(second)) is bound
    assert (lost.bindings, lost.version) == ((first.lost,), 3)
    assert changed(lost, Lose(first)) is lost
    assert changed(lost, Bind(first)) is lost
    assert changed(lost, Bind(Binding("git", 3, 1, "e1"))).bindings == (Binding("git", 3, 1, "e1"),)


def test_a_session_has_so_many_subscriptions_and_no_more() -> None:
    full = after(NEW, [Subscribe(f"file:///{number}") for number in range(MAX_SUBSCRIPTIONS)])

    assert len(full.subscriptions) == MAX_SUBSCRIPTIONS
    assert changed(full, Subscribe("file:///another")) is full
    assert "file:///another" in after(full, [Unsubscribe("file:///7"), Subscribe("file:///another")]).subscriptions


def test_only_the_last_elicitations_are_remembered_each_once() -> None:
    ids = [f"e{number}" for number in range(MAX_COMPLETED + 2)]
    done = after(NEW, [Complete(each) for each in (*ids, ids[-1])])

    assert done.completed == tuple(ids[2:])
    assert done.version == NEW.version + len(ids)


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
    for state in (known, told):
        for binding in state.bindings:
            kept = binding_at(agreed.bindings, binding.backend)
            assert kept is not None
            assert kept.number >= binding.number
    if known.version == told.version:
        assert set(agreed.subscriptions) == {*known.subscriptions, *told.subscriptions}


def test_a_binding_is_not_forgotten_for_a_newer_state_that_lacks_it() -> None:
    bound = changed(NEW, Bind(Binding("git", 1, 0, "e1")))
    later = after(NEW, [SetLevel("debug"), Subscribe("file:///a")])

    both = newer(bound, later)

    assert (both.log_level, both.bindings, both.version) == ("debug", bound.bindings, later.version + 1)
    assert merged(bound, later) == merged(later, bound) == newer(later, bound) == both
    assert newer(both, later) is both
    assert newer(later, both) is both


def test_what_a_session_was_opened_with_is_not_forgotten_for_a_state_of_who_did_not_know() -> None:
    credential = Credential("alice", "https://id", token_id="t1")
    known = opened(NEW.nonce, "alice", b"{}", credential)
    assumed = SessionState(NEW.nonce, "alice")
    as_busy = after(assumed, [SetLevel("debug")])
    busier = after(as_busy, [Subscribe("file:///a")])

    for other in (assumed, as_busy, busier):
        assert merged(known, other).credential == merged(other, known).credential == credential


def test_a_state_that_was_assumed_takes_nothing_from_one_that_is_known() -> None:
    known = changed(NEW, SetLevel("debug"))
    assumed = SessionState(NEW.nonce, "alice")
    busy = after(assumed, [Subscribe("file:///a"), Subscribe("file:///b"), SetLevel("error")])

    assert merged(known, assumed) == merged(assumed, known) == known
    assert merged(known, busy).client_info == known.client_info
