import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.seal import NONCE_BYTES, Seal
from actors.core.timed_seal import TimedSeal
from tests.support.hand_clock import HandClock

OWNERS = st.text(max_size=8)


class Pass(msgspec.Struct, frozen=True, tag=True):
    name: str
    expires: float


class Key(msgspec.Struct, frozen=True, tag=True):
    name: str
    expires: float


def make_seal(clock, secret=b"secret", purpose="tests"):
    nonces = iter(range(1000))
    return TimedSeal(secret, purpose, clock, lambda size: next(nonces).to_bytes(size, "big"))


@given(name=st.text(max_size=20), owner=OWNERS, seconds=st.floats(1, 1e6))
def test_what_was_closed_opens_as_it_was_wherever_the_secret_is_known(name, owner, seconds):
    clock = HandClock()
    here, elsewhere = make_seal(clock), make_seal(clock)
    carried = Pass(name, here.until(seconds))

    assert elsewhere.open(here.close(carried, owner), owner, Pass) == carried


@pytest.mark.parametrize(("later", "good"), [(9.9, True), (10.0, False), (1e9, False)])
def test_it_is_good_until_it_expires_and_no_longer(later, good):
    clock = HandClock()
    seal = make_seal(clock)
    text = seal.close(Pass("a", seal.until(10.0)), "me")

    clock.advance(later)

    assert (seal.open(text, "me", Pass) is not None) is good


@given(owners=st.lists(OWNERS, min_size=2, max_size=2, unique=True))
def test_it_never_opens_for_another_owner_purpose_or_gateway(owners):
    clock = HandClock()
    seal = make_seal(clock)
    text = seal.close(Pass("a", seal.until(10.0)), owners[0])

    assert seal.open(text, owners[1], Pass) is None
    assert make_seal(clock, purpose="other").open(text, owners[0], Pass) is None
    assert make_seal(clock, secret=b"other").open(text, owners[0], Pass) is None


def test_one_of_another_kind_is_none():
    seal = make_seal(HandClock())
    text = seal.close(Key("a", seal.until(10.0)), "me")

    assert seal.open(text, "me", Pass) is None
    assert seal.open(text, "me", Key) == Key("a", seal.until(10.0))


def test_each_text_has_a_nonce_of_its_own():
    clock = HandClock()
    seal, carried = make_seal(clock), Pass("a", clock() + 10.0)

    texts = [seal.close(carried, "me") for _ in range(3)]

    opened = [Seal(b"secret", "tests").open(text, "me") for text in texts]
    assert [nonce for _, nonce in opened] == [bytes(NONCE_BYTES - 1) + bytes([number]) for number in range(3)]
