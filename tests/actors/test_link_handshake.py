"""Both ends prove that they hold the secret; whoever does not learns nothing and gets nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bus.frames import PROTOCOL_VERSION, Challenge, Frame, Hello, Open, Ping, Proof, Refuse, encode
from actors.bus.handshake import (
    NONCE_BYTES,
    WRONG_PROOF,
    CallerHandshake,
    HandshakeError,
    ListenerHandshake,
    RefusedByPeer,
)
from actors.bus.link import MAX_STRANGER_BYTES, MAX_STRANGER_FRAME
from tests.support.bus import CALL, SECRET, UNHURRIED, exchange_id

ONE, TWO, THREE = b"1" * NONCE_BYTES, b"2" * NONCE_BYTES, b"3" * NONCE_BYTES
OTHER_SECRET = b"the secret of another cluster..."


def shake_hands(caller: CallerHandshake, listener: ListenerHandshake) -> list[Frame]:
    """Carry frames between the two until neither has anything to say; the frames in order."""
    said: list[Frame] = [caller.begin()]
    answer: Frame | None = listener.receive(said[0])
    ends = (caller, listener)
    while answer is not None:
        said.append(answer)
        answer = ends[len(said) % 2].receive(answer)
    return said


def test_two_ends_with_one_secret_accept_each_other():
    caller, listener = CallerHandshake(SECRET, ONE), ListenerHandshake({1: SECRET}, TWO)

    said = shake_hands(caller, listener)

    assert [type(frame) for frame in said] == [Hello, Challenge, Proof, Proof]
    assert caller.complete
    assert listener.complete


def test_a_whole_handshake_stays_within_what_a_stranger_may_send():
    said = shake_hands(CallerHandshake(SECRET, ONE), ListenerHandshake({1: SECRET}, TWO))

    assert max(len(encode(frame)) for frame in said) < MAX_STRANGER_FRAME
    assert sum(len(encode(frame)) for frame in said) < MAX_STRANGER_BYTES


def test_the_secret_never_crosses_the_link():
    said = shake_hands(CallerHandshake(SECRET, ONE), ListenerHandshake({1: SECRET}, TWO))

    assert SECRET not in b"".join(map(encode, said))


def test_a_listener_refuses_a_caller_with_another_secret_and_does_not_prove_itself_to_it():
    caller, listener = CallerHandshake(OTHER_SECRET, ONE), ListenerHandshake({1: SECRET}, TWO)
    proof = caller.receive(listener.receive(caller.begin()))

    with pytest.raises(HandshakeError, match=WRONG_PROOF):
        listener.receive(proof)

    assert not listener.complete


def test_a_caller_refuses_a_listener_with_another_secret():
    caller = CallerHandshake(SECRET, ONE)
    impostor_proof = shake_hands(CallerHandshake(OTHER_SECRET, ONE), ListenerHandshake({1: OTHER_SECRET}, TWO))[-1]
    caller.receive(Challenge(PROTOCOL_VERSION, TWO))

    with pytest.raises(HandshakeError, match=WRONG_PROOF):
        caller.receive(impostor_proof)

    assert not caller.complete


@pytest.mark.parametrize("version", [0, PROTOCOL_VERSION + 1])
def test_another_version_is_refused_with_a_sentence_naming_both(version):
    sentence = f"this end speaks version {PROTOCOL_VERSION} of the bus, not {version}"

    with pytest.raises(HandshakeError, match=sentence):
        ListenerHandshake({1: SECRET}, TWO).receive(Hello(version, ONE))
    with pytest.raises(HandshakeError, match=sentence):
        CallerHandshake(SECRET, ONE).receive(Challenge(version, TWO))


def test_a_proof_recorded_earlier_is_worth_nothing_even_with_its_nonce():
    recorded = shake_hands(CallerHandshake(SECRET, ONE), ListenerHandshake({1: SECRET}, TWO))
    listener = ListenerHandshake({1: SECRET}, THREE)
    listener.receive(recorded[0])

    with pytest.raises(HandshakeError, match=WRONG_PROOF):
        listener.receive(recorded[2])


def test_a_proof_sent_back_to_its_author_is_worth_nothing():
    caller = CallerHandshake(SECRET, ONE)
    proof = caller.receive(Challenge(PROTOCOL_VERSION, ONE))

    with pytest.raises(HandshakeError, match=WRONG_PROOF):
        caller.receive(proof)


@pytest.mark.parametrize("nonce", [b"", b"short", b"x" * (NONCE_BYTES + 1)])
def test_a_nonce_of_another_length_is_refused(nonce):
    with pytest.raises(HandshakeError):
        ListenerHandshake({1: SECRET}, TWO).receive(Hello(PROTOCOL_VERSION, nonce))
    with pytest.raises(HandshakeError):
        CallerHandshake(SECRET, ONE).receive(Challenge(PROTOCOL_VERSION, nonce))


@pytest.mark.parametrize("frame", [Ping(), Proof(b""), Challenge(PROTOCOL_VERSION, ONE), Open(1, exchange_id(1), CALL)])
def test_a_listener_hears_nothing_before_hello(frame):
    with pytest.raises(HandshakeError):
        ListenerHandshake({1: SECRET}, TWO).receive(frame)


@pytest.mark.parametrize("frame", [Ping(), Proof(b""), Hello(PROTOCOL_VERSION, ONE)])
def test_a_caller_hears_nothing_before_the_challenge(frame):
    with pytest.raises(HandshakeError):
        CallerHandshake(SECRET, ONE).receive(frame)


def test_hello_and_challenge_are_heard_once():
    caller, listener = CallerHandshake(SECRET, ONE), ListenerHandshake({1: SECRET}, TWO)
    challenge = listener.receive(caller.begin())
    caller.receive(challenge)

    with pytest.raises(HandshakeError):
        listener.receive(Hello(PROTOCOL_VERSION, THREE))
    with pytest.raises(HandshakeError):
        caller.receive(challenge)


def test_a_refusal_is_passed_on_without_control_characters():
    for end in (CallerHandshake(SECRET, ONE), ListenerHandshake({1: SECRET}, TWO)):
        with pytest.raises(RefusedByPeer, match=r"^go\?away$"):
            end.receive(Refuse("go\naway"))


def test_a_short_secret_is_not_accepted():
    with pytest.raises(ValueError, match="at least 16 bytes"):
        CallerHandshake(b"x" * 15, ONE)
    with pytest.raises(ValueError, match="at least 16 bytes"):
        ListenerHandshake({2: SECRET, 1: b"x" * 15}, ONE)


@pytest.mark.parametrize(("secret", "number"), [(SECRET, 1), (OTHER_SECRET, 2)])
def test_a_listener_with_several_secrets_answers_with_the_one_that_the_caller_holds(secret, number):
    caller, listener = CallerHandshake(secret, ONE), ListenerHandshake({2: OTHER_SECRET, 1: SECRET}, TWO)

    shake_hands(caller, listener)

    assert caller.complete
    assert listener.proven == number


@UNHURRIED
@given(mac=st.binary(max_size=64))
def test_only_the_right_proof_completes_a_handshake(mac):
    listener = ListenerHandshake({1: SECRET}, TWO)
    listener.receive(Hello(PROTOCOL_VERSION, ONE))

    with pytest.raises(HandshakeError):
        listener.receive(Proof(mac))

    assert not listener.complete
