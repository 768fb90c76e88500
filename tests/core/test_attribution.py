"""What belongs to nobody for certain never goes to one caller of several."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.attribution import have_one_owner, owner
from actors.core.call import Call
from actors.core.principal import ANONYMOUS

ALICE, BOB = "token:3:iss:alice", "token:3:iss:bob"


def a_call(principal: str = ALICE, session: bytes = b"") -> Call:
    return Call("tools/call", b"{}", 1.0, principal=principal, session=session)


calls = st.builds(
    a_call,
    st.sampled_from([ALICE, BOB, ANONYMOUS.key, ""]),
    st.sampled_from([b"", b"one", b"two"]),
)


def test_no_calls_have_no_owner():
    assert not have_one_owner([])


@given(calls)
def test_a_single_call_is_its_caller_s(call: Call):
    assert have_one_owner([call])


@given(st.lists(calls, min_size=2))
def test_several_calls_have_one_owner_only_if_they_name_the_same(several: list[Call]):
    sessions = {call.session for call in several}
    principals = {call.principal for call in several}

    same_session = len(sessions) == 1 and b"" not in sessions
    same_principal = sessions == {b""} and len(principals) == 1 and principals <= {ALICE, BOB}
    assert have_one_owner(several) == (same_session or same_principal)


@pytest.mark.parametrize("others", [[BOB], [ALICE, BOB], [ALICE, ALICE, BOB]])
def test_one_stranger_among_many_is_enough(others: list[str]):
    assert not have_one_owner([a_call(), *map(a_call, others)])


def test_a_session_cannot_pass_for_a_principal():
    assert owner(a_call(session=ALICE.encode())) != owner(a_call(ALICE))
