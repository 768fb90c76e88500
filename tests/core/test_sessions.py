import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.client_capabilities import Capability, condense, expand
from actors.core.principal import ANONYMOUS, Kind, Principal
from actors.core.revisions import HANDSHAKE_REVISIONS
from actors.core.sessions import Session, mint, read

SECRET = b"s" * 32
NONCE = bytes(range(16))
NOW = 1_800_000_000.0
DAY = 86_400.0
ALICE = Principal("alice", "https://issuer.example", Kind.TOKEN).key
ID = mint(SECRET, nonce=NONCE, revision="2025-06-18", principal_key=ALICE, now=NOW)

nonces = st.binary(min_size=16, max_size=16)
revisions = st.sampled_from(HANDSHAKE_REVISIONS)
declarations = st.integers(0, 127).map(lambda number: expand(condense(expand(Capability(number)))))


@given(
    nonce=nonces,
    revision=revisions,
    subject=st.text(),
    now=st.floats(0, 2e11),
    age=st.floats(-DAY, DAY),
    declared=declarations,
)
def test_what_was_minted_is_read_within_its_age(
    nonce: bytes, revision: str, subject: str, now: float, age: float, declared: bytes
) -> None:
    key = Principal(subject, "issuer", Kind.TOKEN).key

    text = mint(SECRET, nonce=nonce, revision=revision, principal_key=key, now=now, capabilities=declared)

    assert read(SECRET, text, principal_key=key, now=now + age, max_age=DAY + 1) == Session(nonce, revision, declared)


@pytest.mark.parametrize("noise", [b'{"elicitation":{},"x-vendor":{"a":[1]}}', b'{ "elicitation" : {"form":{"y":1}} }'])
def test_of_what_a_client_declares_only_what_matters_is_carried(noise: bytes) -> None:
    text = mint(SECRET, nonce=NONCE, revision="2025-06-18", principal_key=ALICE, now=NOW, capabilities=noise)

    assert read(SECRET, text, principal_key=ALICE, now=NOW, max_age=DAY) == Session(
        NONCE, "2025-06-18", b'{"elicitation":{"form":{}}}'
    )


@given(
    place=st.integers(0, len(ID) - 1),
    character=st.one_of(st.sampled_from(string.ascii_letters + string.digits + "-_+/="), st.characters()),
)
def test_any_changed_character_gives_nothing(place: int, character: str) -> None:
    changed = ID[:place] + character + ID[place + 1 :]

    session = read(SECRET, changed, principal_key=ALICE, now=NOW, max_age=DAY)

    assert (session is None) == (changed != ID)


@given(text=st.one_of(st.text(), st.text("abcAB01-_=", min_size=60, max_size=70)))
def test_no_other_text_is_ever_read(text: str) -> None:
    assert read(SECRET, text, principal_key=ALICE, now=NOW, max_age=DAY) is None


@pytest.mark.parametrize("changed", [ID + "A", ID + "=", ID + "\n", " " + ID, ID[:-1], ID[4:], ""])
def test_more_or_less_than_the_id_gives_nothing(changed: str) -> None:
    assert read(SECRET, changed, principal_key=ALICE, now=NOW, max_age=DAY) is None


@given(subject=st.text(), issuer=st.text(), kind=st.sampled_from(Kind))
def test_only_its_own_principal_can_read_an_id(subject: str, issuer: str, kind: Kind) -> None:
    other = Principal(subject, issuer, kind).key

    session = read(SECRET, ID, principal_key=other, now=NOW, max_age=DAY)

    assert (session is None) == (other != ALICE)


def test_another_secret_reads_nothing() -> None:
    assert read(b"t" * 32, ID, principal_key=ALICE, now=NOW, max_age=DAY) is None


def test_an_old_id_reads_as_nothing() -> None:
    assert read(SECRET, ID, principal_key=ALICE, now=NOW + DAY, max_age=DAY) is not None
    assert read(SECRET, ID, principal_key=ALICE, now=NOW + DAY + 1, max_age=DAY) is None


def test_an_id_is_visible_ascii() -> None:
    text = mint(SECRET, nonce=b"\xff" * 16, revision="2025-11-25", principal_key=ANONYMOUS.key, now=time.time())

    assert len(text) == 64
    assert all(0x21 <= ord(character) <= 0x7E for character in text)


@pytest.mark.parametrize(("nonce", "revision"), [(b"", "2025-11-25"), (NONCE, "2025"), (NONCE * 2, "2025-11-25")])
def test_a_nonce_or_revision_of_another_length_is_a_bug(nonce: bytes, revision: str) -> None:
    with pytest.raises(ValueError, match="a session needs 16 bytes"):
        mint(SECRET, nonce=nonce, revision=revision, principal_key=ALICE, now=NOW)
