from hypothesis import given
from hypothesis import strategies as st

from actors.core.client import Client
from actors.core.revisions import HANDSHAKE_REVISIONS, MODERN_REVISIONS, Era

NAMES = st.from_regex(r"[a-z]{0,3}", fullmatch=True)
CLIENTS = st.builds(
    Client, st.sampled_from(MODERN_REVISIONS), st.text(max_size=3), NAMES, session=st.binary(max_size=2)
)


def test_the_era_is_that_of_the_revision():
    assert {Client(each, "").era for each in HANDSHAKE_REVISIONS} == {Era.HANDSHAKE}
    assert {Client(each, "").era for each in MODERN_REVISIONS} == {Era.MODERN}


@given(one=CLIENTS, other=CLIENTS)
def test_an_account_is_one_principal_at_one_endpoint(one, other):
    same = (one.principal, one.endpoint) == (other.principal, other.endpoint)

    assert (one.account == other.account) is same


@given(one=CLIENTS, other=CLIENTS)
def test_an_owner_is_one_account_in_one_session(one, other):
    same = (one.account, one.session) == (other.account, other.session)

    assert (one.owner == other.owner) is same
