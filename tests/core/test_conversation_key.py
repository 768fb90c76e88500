"""No user ever gets into another's conversation; who may share one, does."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.core.call import Call
from actors.core.conversation_key import declared_for_all, key_of
from actors.core.fingerprint import fingerprint
from actors.core.identity import BRIDGED_CAPABILITIES
from actors.core.revisions import Era
from actors.core.settings import Isolation

PRIVATE = (Isolation.SESSION, Isolation.PRINCIPAL)

calls = st.builds(
    Call,
    method=st.sampled_from(["tools/call", "subscriptions/listen"]),
    params=st.just(b"{}"),
    time_left=st.just(1.0),
    capabilities=st.sampled_from([b"{}", b'{"roots":{}}', b'{"sampling":{},"x":1}', b'{"sampling":{}}', b"["]),
    principal=st.text(alphabet="ab\0", max_size=3),
    session=st.binary(max_size=2),
)
eras = st.sampled_from(Era)


@given(st.sampled_from(PRIVATE), eras, calls, calls)
def test_calls_of_two_principals_never_share_a_conversation(isolation: Isolation, era: Era, one: Call, other: Call):
    assume(one.principal != other.principal)

    assert key_of(isolation, era, one, stateful=True) != key_of(isolation, era, other, stateful=True)


@given(eras, calls, calls)
def test_by_session_no_two_sessions_share_and_none_shares_with_those_without(era: Era, one: Call, other: Call):
    assume(one.session != other.session)

    mine, theirs = (key_of(Isolation.SESSION, era, call, stateful=True) for call in (one, other))

    assert mine != theirs


@given(calls, st.binary(max_size=2))
def test_by_principal_the_sessions_of_one_share_if_they_can_be_asked_the_same(call: Call, session: bytes):
    other = msgspec.structs.replace(call, session=session)

    mine, same = (key_of(Isolation.PRINCIPAL, Era.HANDSHAKE, one, stateful=True) for one in (call, other))

    assert mine == same


@given(st.sampled_from(PRIVATE), calls, st.sampled_from([b"{}", b'{"roots":{}}', b'{"sampling":{}}', b'{"y":{}}']))
def test_clients_share_only_if_the_server_may_ask_them_the_same(isolation: Isolation, call: Call, capabilities: bytes):
    other = msgspec.structs.replace(call, capabilities=capabilities)

    mine, theirs = (key_of(isolation, Era.HANDSHAKE, one, stateful=False) for one in (call, other))

    assert (mine == theirs) == (fingerprint(call.capabilities) == fingerprint(capabilities))


@pytest.mark.parametrize(
    ("isolation", "era", "stateful", "shared"),
    [
        (Isolation.SHARED, Era.HANDSHAKE, True, True),
        (Isolation.SHARED, Era.HANDSHAKE, False, True),
        (Isolation.SHARED, Era.MODERN, True, True),
        (Isolation.PRINCIPAL, Era.MODERN, False, True),
        (Isolation.SESSION, Era.MODERN, False, True),
        (Isolation.PRINCIPAL, Era.MODERN, True, False),
        (Isolation.PRINCIPAL, Era.HANDSHAKE, False, False),
        (Isolation.SESSION, Era.HANDSHAKE, True, False),
    ],
)
def test_a_conversation_is_shared_where_it_is_configured_or_keeps_nothing(
    isolation: Isolation, era: Era, stateful: bool, shared: bool
):
    call = Call("tools/call", b"{}", 1.0, principal="p", session=b"s")

    assert (key_of(isolation, era, call, stateful=stateful) is None) == shared


def test_over_the_network_everyone_shares_with_whom_the_server_may_ask_the_same():
    one, same, other, none = (
        key_of(
            Isolation.SHARED,
            Era.HANDSHAKE,
            Call("tools/call", b"{}", 1.0, principal=who, capabilities=said),
            stateful=False,
        )
        for who, said in (("p", b'{"roots":{}}'), ("q", b'{"roots":{},"x":1}'), ("p", b'{"sampling":{}}'), ("p", b"{}"))
    )

    assert one == same
    assert len({one, other, none}) == 3


@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("isolation", Isolation)
def test_what_a_conversation_declares_is_what_its_calls_can_be_asked_or_all_we_can_bridge(
    isolation: Isolation, stateful: bool
):
    plain = Call("tools/call", b"{}", 1.0, principal="p", session=b"s")

    declared = declared_for_all(isolation, stateful=stateful)
    key = key_of(isolation, Era.HANDSHAKE, plain, stateful=stateful)

    assert declared == (BRIDGED_CAPABILITIES if stateful and key is None else b"{}")


def test_a_modern_server_needs_no_second_conversation_for_other_capabilities():
    one, other = (Call("tools/call", b"{}", 1.0, principal="p", capabilities=said) for said in (b"{}", b'{"roots":{}}'))

    keys = {key_of(Isolation.PRINCIPAL, Era.MODERN, call, stateful=True) for call in (one, other)}

    assert len(keys) == 1
