from hypothesis import given
from hypothesis import strategies as st

from actors.core.tokens.family import (
    GRACE_SECONDS,
    MAX_ROTATIONS,
    Family,
    Step,
    digest_of,
    first_token,
    successor_of,
)
from actors.core.tokens.grant import Grant

KEY = b"k" * 32
FIRST = first_token(bytes(32))
LIFE = 7 * 86_400.0


def begun(at: float = 0.0) -> Family:
    return Family("f", Grant("corp:ada", "cli"), at, at + LIFE, digest_of(FIRST))


def present(family: Family, token: str, now: float) -> tuple[Step, Family, str]:
    successor = successor_of(KEY, token)
    step, after = family.present(digest_of(token), digest_of(successor), now)
    return step, after, successor


def test_a_live_token_gets_a_successor_and_is_used_then() -> None:
    step, family, successor = present(begun(), FIRST, 100.0)

    assert step is Step.ROTATED
    assert family.current == digest_of(successor)
    assert present(family, FIRST, 100.0 + GRACE_SECONDS)[0] is Step.REUSED


def test_a_client_that_got_no_answer_gets_the_same_successor_once_more() -> None:
    _, family, successor = present(begun(), FIRST, 100.0)

    step, after, again = present(family, FIRST, 100.0 + GRACE_SECONDS - 0.1)

    assert step is Step.REPEATED
    assert again == successor
    assert after == family


def test_the_grace_ends_when_the_successor_is_used() -> None:
    _, family, second = present(begun(), FIRST, 100.0)
    _, family, _ = present(family, second, 101.0)

    assert present(family, FIRST, 101.0)[0] is Step.REUSED


def test_refreshing_does_not_lengthen_a_login() -> None:
    _, family, second = present(begun(), FIRST, LIFE - 1.0)

    assert present(family, second, LIFE)[0] is Step.EXPIRED


def test_a_family_that_was_refreshed_too_often_ends() -> None:
    _, family, second = present(begun(), FIRST, 1.0)

    tired = Family(family.id, family.grant, 0.0, LIFE, family.current, rotations=MAX_ROTATIONS)

    assert present(tired, second, 2.0)[0] is Step.EXPIRED


@given(
    moves=st.lists(st.tuples(st.integers(0, 5), st.floats(0.0, 20.0)), max_size=25),
)
def test_whatever_is_presented_in_whatever_order_at_most_one_token_lives_and_reuse_ends_all(
    moves: list[tuple[int, float]],
) -> None:
    """Owner and thief present any token they ever saw, at any time: `known` is what they have."""
    family: Family | None = begun()
    known, used, last, now = [FIRST], set[str](), -1.0e9, 0.0
    for back, pause in moves:
        now += pause
        token = known[max(0, len(known) - 1 - back)]
        if family is None:
            break
        live = family.current == digest_of(token)
        step, family, successor = present(family, token, now)
        if step is Step.ROTATED:
            assert live
            assert token not in used
            used.add(token)
            known.append(successor)
            last = now
        elif step is Step.REPEATED:
            assert token == known[-2], "only the one before the live one"
            assert successor == known[-1], "never a second live token"
            assert now - last < GRACE_SECONDS
        else:
            assert step is Step.REUSED
            assert token in used
            family = None
    if family is not None:
        assert [token for token in known if digest_of(token) == family.current] == [known[-1]]
