import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.principal import Kind, Principal
from actors.core.tokens.issued import Declined
from actors.core.tokens.revocations import Revocation, Revocations, Target, merged
from actors.core.tokens.revoking import revocation_of

ADA = Principal("ada", "https://id", Kind.TOKEN, client="cli", token_id="t1", family="f1", issued_at=100.0)


def covers(*entries: Revocation, principal: Principal = ADA) -> bool:
    return Revocations("m", entries).covers(principal)


@pytest.mark.parametrize(
    "entry",
    [
        Revocation(Target.TOKEN, "t1"),
        Revocation(Target.TOKEN, "t1", "https://id"),
        Revocation(Target.FAMILY, "f1", "https://id"),
        Revocation(Target.SUBJECT, "ada", before=100.0),
        Revocation(Target.CLIENT, "cli", "https://id", before=101.0),
        Revocation(Target.ISSUER, "https://id", "https://id", before=101.0),
    ],
)
def test_a_revocation_covers_what_it_names(entry: Revocation) -> None:
    assert covers(entry)


@pytest.mark.parametrize(
    "entry",
    [
        Revocation(Target.TOKEN, "t2"),
        Revocation(Target.TOKEN, "t1", "https://other"),
        Revocation(Target.SUBJECT, "ada", before=99.9),
        Revocation(Target.SUBJECT, "cli", before=101.0),
        Revocation(Target.CLIENT, "ada", before=101.0),
        Revocation(Target.ISSUER, "https://other", "https://other", before=101.0),
        Revocation(Target.SUBJECT, "ada", "https://other", before=101.0),
        Revocation(Target.TOKEN, ""),
    ],
)
def test_and_nothing_else(entry: Revocation) -> None:
    assert not covers(entry)


def test_what_does_not_say_when_it_was_issued_is_covered() -> None:
    undated = msgspec.structs.replace(ADA, issued_at=0.0)

    assert covers(Revocation(Target.SUBJECT, "ada", before=5.0), principal=undated)


def test_an_empty_name_is_nobodys() -> None:
    key = Principal("ci", "", Kind.KEY)

    assert not covers(Revocation(Target.ISSUER, "", ""), principal=key)
    assert not covers(Revocation(Target.FAMILY, ""), principal=key)


def test_they_cross_processes_whole() -> None:
    sent = Revocations("m:1", (Revocation(Target.TOKEN, "t1"),))
    assert sent.covers(ADA)

    got = msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Revocations)

    assert got == sent
    assert got.covers(ADA)


@given(first=st.floats(0, 1000), second=st.floats(0, 1000), issued=st.floats(0, 1000))
def test_a_second_revocation_never_lets_in_what_the_first_shut_out(first: float, second: float, issued: float) -> None:
    principal = msgspec.structs.replace(ADA, issued_at=issued)
    old = Revocation(Target.SUBJECT, "ada", before=first, until=first)
    new = Revocation(Target.SUBJECT, "ada", before=second, until=second)

    both = merged(old, new)

    assert covers(both, principal=principal) == (covers(old, principal=principal) or covers(new, principal=principal))
    assert both.until == max(first, second)
    assert both.id == old.id == new.id


def test_a_subject_is_revoked_until_now_and_may_come_back() -> None:
    made = revocation_of(Target.SUBJECT, "ada", "", 100.5)

    assert isinstance(made, Revocation)
    assert covers(made)
    assert not covers(made, principal=msgspec.structs.replace(ADA, issued_at=100.6))
    assert made.until < math.inf


@pytest.mark.parametrize("text", ["", "  ", "a.b.c", "x" * 20_000, "x" * 600, "o1r_gone"])
def test_what_is_no_token_cannot_be_revoked_as_one(text: str) -> None:
    assert isinstance(revocation_of(Target.TOKEN, text, "", 0.0), Declined)
