import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.seal import MAX_TEXT_CHARS, NONCE_BYTES, Seal

PAYLOADS = st.binary(max_size=80)
OWNERS = st.text(max_size=8)
NONCES = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
SEAL = Seal(b"secret", "tests")


@given(payload=PAYLOADS, owner=OWNERS, nonce=NONCES)
def test_a_sealed_text_opens_for_its_owner_wherever_the_secret_is_known(payload, owner, nonce):
    text = SEAL.close(payload, owner, nonce)

    assert Seal(b"secret", "tests").open(text, owner) == (payload, nonce)
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")


@given(payload=PAYLOADS, owners=st.lists(OWNERS, min_size=2, max_size=2, unique=True), nonce=NONCES)
def test_a_sealed_text_never_opens_for_another(payload, owners, nonce):
    text = SEAL.close(payload, owners[0], nonce)

    assert SEAL.open(text, owners[1]) is None
    assert Seal(b"other", "tests").open(text, owners[0]) is None
    assert Seal(b"secret", "other").open(text, owners[0]) is None


@given(payload=PAYLOADS, owner=OWNERS, nonce=NONCES, data=st.data())
def test_no_changed_text_ever_opens(payload, owner, nonce, data):
    text = SEAL.close(payload, owner, nonce)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    piece = data.draw(st.text(string.ascii_letters + string.digits + "-_+/= \n", max_size=3) | st.text(max_size=2))
    changed = text[:start] + piece + text[end:]

    assert changed == text or SEAL.open(changed, owner) is None


@pytest.mark.parametrize("size", range(12))
def test_no_other_spelling_of_the_same_bytes_opens(size):
    nonce = bytes([0xFB, 0xFF] * 6)
    text = SEAL.close(b"x" * size, "", nonce)
    unused = [text[:-1] + each for each in string.ascii_letters + string.digits + "-_" if each != text[-1]]
    others = [text + "=", text + "==", text.replace("-", "+"), text.replace("_", "/"), text + "\n", *unused]

    assert {"-", "_"} <= set(text)
    assert [SEAL.open(other, "") for other in others if other != text] == [None] * len(others)


@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_whatever_text_arrives_it_is_only_not_ours(text):
    assert SEAL.open(text, "") is None


def test_a_text_beyond_all_bounds_is_not_ours():
    text = SEAL.close(b"x" * MAX_TEXT_CHARS, "", bytes(NONCE_BYTES))

    assert SEAL.open(text, "") is None


@given(payloads=st.lists(PAYLOADS, min_size=2, max_size=2), owners=st.lists(OWNERS, min_size=2, max_size=2))
def test_texts_closed_alike_are_equal_if_payload_and_owner_are_and_share_no_nonce_otherwise(payloads, owners):
    (one, other) = (SEAL.close_alike(payload, owner) for payload, owner in zip(payloads, owners, strict=True))
    same = payloads[0] == payloads[1] and owners[0] == owners[1]

    assert (one == other) is same
    opened = [SEAL.open(text, owner) for text, owner in zip((one, other), owners, strict=True)]
    assert [each[0] for each in opened] == payloads
    assert (opened[0][1] == opened[1][1]) is same


def test_payload_and_owner_do_not_run_into_one_another():
    assert SEAL.close_alike(b"ab", "c")[:16] != SEAL.close_alike(b"a", "bc")[:16]
