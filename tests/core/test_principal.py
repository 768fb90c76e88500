import pickle

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.core.principal import ANONYMOUS, Kind, Principal, Refusal, Verdict

principals = st.builds(
    Principal, st.text(":0123ab"), st.text(":0123ab"), st.sampled_from(Kind), st.lists(st.text()).map(tuple)
)


@given(one=principals, other=principals)
def test_keys_are_equal_only_for_the_same_subject_of_the_same_issuer(one: Principal, other: Principal) -> None:
    same = (one.subject, one.issuer, one.kind) == (other.subject, other.issuer, other.kind)

    assert (one.key == other.key) == same


def test_a_subject_cannot_imitate_another_issuer() -> None:
    assert Principal("b:c", "a", Kind.TOKEN).key != Principal("c", "a:b", Kind.TOKEN).key


@given(principal=principals)
def test_scopes_do_not_change_who_somebody_is(principal: Principal) -> None:
    assert msgspec.structs.replace(principal, scopes=("more",)).key == principal.key


def test_a_verdict_arrives_equal_to_what_was_sent() -> None:
    admitted = Verdict(ANONYMOUS, None, 60.0)
    refused = Verdict(None, Refusal.EXPIRED, 10.0)

    assert pickle.loads(pickle.dumps([admitted, refused])) == [admitted, refused]  # noqa: S301 - made just here
