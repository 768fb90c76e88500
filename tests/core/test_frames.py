"""The codec of the bus: every frame survives any way of cutting the stream, and nothing else gets through."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bus import frames
from actors.bus.frames import FrameDecoder, FrameError, encode
from actors.core.breaker import State
from actors.core.call import Call
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from tests.support.bus import UNHURRIED

LIMIT = 64 * 1024

numbers = st.integers(0, 2**63 - 1)
ids = st.binary(min_size=16, max_size=16)
finite = st.floats(allow_nan=False, allow_infinity=False)
calls = st.builds(
    Call,
    method=st.text(),
    params=st.binary(),
    time_left=finite,
    name=st.none() | st.text(),
    meta=st.binary(),
    capabilities=st.binary(),
    client_info=st.none() | st.binary(),
    wants_progress=st.booleans(),
    log_level=st.none() | st.text(),
    origin=st.none() | st.binary(),
    interactive=st.booleans(),
    principal=st.text(),
    session=st.binary(),
    ticket=st.binary(),
)
answers = st.lists(st.tuples(numbers, st.binary()), max_size=4).map(tuple)
outcomes = st.builds(Reply, body=st.binary(), era=st.sampled_from(Era), is_error=st.booleans()) | st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    backend=st.text(),
    detail=st.text(),
    retry_after=st.none() | finite,
)
loads = st.builds(Load, in_flight=numbers, breaker=st.sampled_from(State))
any_frame = st.one_of(
    st.builds(frames.Hello, version=numbers, nonce=st.binary()),
    st.builds(frames.Challenge, version=numbers, nonce=st.binary()),
    st.builds(frames.Proof, mac=st.binary()),
    st.builds(frames.Refuse, reason=st.text()),
    st.just(frames.Ping()),
    st.just(frames.Pong()),
    st.builds(frames.Open, number=numbers, exchange_id=ids, call=calls),
    st.builds(frames.Attach, number=numbers, exchange_id=ids, after=numbers),
    st.builds(frames.Detach, number=numbers),
    st.builds(frames.Answer, number=numbers, ask=numbers, value=st.binary()),
    st.builds(frames.Cancel, number=numbers, reason=st.text()),
    st.builds(frames.CancelOrigin, origin=st.binary()),
    st.builds(frames.Grant, number=numbers, seen=numbers),
    st.builds(frames.Resume, number=numbers, exchange_id=ids, after=numbers, answers=answers),
    st.builds(frames.AnswerTo, exchange_id=ids, ask=numbers, value=st.binary()),
    st.builds(frames.Event, number=numbers, seq=numbers, kind=st.sampled_from(frames.EventKind), data=st.binary()),
    st.builds(frames.OutcomeFrame, number=numbers, outcome=outcomes, load=loads),
)


def chunks_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    return [data[start:end] for start, end in pairwise(places)]


@UNHURRIED
@given(sent=st.lists(any_frame, max_size=8), cuts=st.lists(st.integers(0, 10_000)))
def test_frames_arrive_equal_and_in_order_however_the_stream_is_cut(sent, cuts):
    decoder = FrameDecoder(LIMIT)

    received = [frame for chunk in chunks_of(b"".join(map(encode, sent)), cuts) for frame in decoder.feed(chunk)]

    assert received == sent


@UNHURRIED
@given(frame=any_frame)
def test_a_frame_arrives_byte_by_byte(frame):
    decoder = FrameDecoder(LIMIT)

    received = [decoder.feed(bytes([byte])) for byte in encode(frame)]

    assert received == [[]] * (len(received) - 1) + [[frame]]


@UNHURRIED
@given(chunks=st.lists(st.binary(max_size=64)))
def test_garbage_gives_a_frame_error_or_nothing(chunks):
    decoder = FrameDecoder(32)
    try:
        for chunk in chunks:
            decoder.feed(chunk)
    except FrameError:
        pass
    else:
        assert len(decoder._buffer) < 32 + frames.LENGTH_BYTES


@UNHURRIED
@given(body=st.binary(max_size=200) | any_frame.map(lambda frame: encode(frame)[4:]), data=st.data())
def test_a_damaged_body_gives_a_frame_error_or_a_frame(body, data):
    if body:
        at = data.draw(st.integers(0, len(body) - 1))
        body = body[:at] + bytes([data.draw(st.integers(0, 255))]) + body[at + 1 :]

    try:
        received = FrameDecoder(LIMIT).feed(len(body).to_bytes(4, "big") + body)
    except FrameError:
        return

    assert len(received) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x92\x63\x01",  # a tag that no frame has
        b"\x91" * 100_000,  # deeper than the interpreter can go
        b"\x92\x05" + b"\x91" * 100_000,  # the same where a frame has no field
        b"\x92\x04\xa2\xff\xff",  # not UTF-8
        b"\xdd\xff\xff\xff\xff",  # an array of four thousand million
        b"\x92\x04\xdb\xff\xff\xff\xff",  # a string as long
        b"\x93\x10\x01\xff",  # a negative grant
        b"\x94\x0b\x01\xc4\x02ab\x00",  # an id of two bytes
        b"\x95\x11\x01\xc4\x10" + b"i" * 16 + b"\x00\x91\x91\x01",  # an answer without a value
        encode(frames.Ping())[4:] * 2,  # something behind the frame
    ],
)
def test_a_body_which_is_no_frame_is_refused(body):
    with pytest.raises(FrameError):
        FrameDecoder(2**20).feed(len(body).to_bytes(4, "big") + body)


def test_a_frame_of_just_the_limit_passes_and_one_byte_more_is_refused():
    data = encode(frames.Refuse("x" * 100))

    assert FrameDecoder(len(data) - 4).feed(data) == [frames.Refuse("x" * 100)]
    with pytest.raises(FrameError):
        FrameDecoder(len(data) - 5).feed(data)


def test_a_length_over_the_limit_is_refused_before_its_body_comes():
    decoder = FrameDecoder(1024)
    assert decoder.feed(b"\x7f\xff\xff") == []

    with pytest.raises(FrameError, match="2147483647 bytes is over the limit of 1024"):
        decoder.feed(b"\xff")


def test_an_error_does_not_quote_what_was_sent():
    body = b"\x95\x14\x01\x01\xa6secret\xc4\x00"

    with pytest.raises(FrameError) as caught:
        FrameDecoder(LIMIT).feed(len(body).to_bytes(4, "big") + body)

    assert "secret" not in str(caught.value)
    assert "$[3]" in str(caught.value)


def test_a_large_frame_in_small_pieces_is_held_once():
    data = encode(frames.Answer(1, 1, b"x" * 8 * 2**20))
    decoder = FrameDecoder(16 * 2**20)
    pieces = [data[start : start + 65536] for start in range(0, len(data), 65536)]

    tracemalloc.start()
    for piece in pieces[:-1]:
        decoder.feed(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 1.3 * len(data)
    assert decoder.feed(pieces[-1]) == [frames.Answer(1, 1, b"x" * 8 * 2**20)]


def test_a_field_which_a_later_version_adds_at_the_end_is_passed_over():
    assert FrameDecoder(LIMIT).feed(b"\x00\x00\x00\x04\x93\x0c\x07\x01") == [frames.Detach(7)]


def test_the_weight_of_an_event_grows_with_its_size():
    assert frames.weight(b"") == 1
    assert frames.weight(b"x" * (16 * 1024 - 1)) == 1
    assert frames.weight(b"x" * 1024 * 1024) == 1 + frames.WINDOW
