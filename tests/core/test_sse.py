import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import sse
from actors.core.sse import SseDecoder, SseError, SseEvent

LIMIT = 4096

LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=20)
EVENTS = st.lists(st.tuples(st.binary(max_size=60), st.none() | LINE, st.none() | LINE), max_size=8)
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\r",
            b"\r\n",
            b"data",
            b"data:",
            b"data: ",
            b":",
            b" ",
            b"event: e",
            b"id: 7",
            b"id:\0",
            b"\xef\xbb\xbf",
        ]
    )
    | st.binary(max_size=6),
    max_size=40,
).map(b"".join)
CUTS = st.lists(st.integers(0, 400), max_size=30)


def chunks(stream, cuts):
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def decode(stream, cuts=(), limit=LIMIT):
    decoder = SseDecoder(limit)
    return [event for chunk in chunks(stream, cuts) for event in decoder.feed(chunk)]


def read_slowly(stream):
    """The rules of section 9.2.6, one line at a time and without a thought for speed: the reference."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events, data, kind, last_id = [], [], "", ""
    for line in text.split(b"\n")[:-1]:
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if line == b"":
            if data:
                events.append(SseEvent(b"\n".join(data), kind or "message", last_id))
            data, kind = [], ""
        elif name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode(errors="replace")
    return events


@given(events=EVENTS, cuts=CUTS)
def test_what_was_encoded_is_decoded_in_any_chunking(events, cuts):
    stream = b"".join(sse.event(data, event=kind, event_id=event_id) for data, kind, event_id in events)

    decoded = decode(stream, cuts)

    last_id, expected = "", []
    for data, kind, event_id in events:
        last_id = last_id if event_id is None else event_id
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        expected.append(SseEvent(lines, kind or "message", last_id))
    assert decoded == expected


@given(stream=FRAGMENTS, cuts=CUTS)
def test_any_stream_is_read_as_the_standard_says_in_any_chunking(stream, cuts):
    expected = read_slowly(stream)

    assert decode(stream, cuts) == expected
    assert decode(stream, cuts=range(len(stream))) == expected


def test_a_line_end_cut_in_two_is_one_line_end():
    stream = b"data: a\r\ndata: b\r\n\r\n"

    assert decode(stream, cuts=(8,)) == [SseEvent(b"a\nb")]


@given(stream=FRAGMENTS, cuts=CUTS, limit=st.integers(1, 40))
def test_whether_an_event_is_too_large_does_not_depend_on_the_chunking(stream, cuts, limit):
    def verdict(cuts):
        try:
            return decode(stream, cuts, limit)
        except SseError:
            return "too large"

    assert verdict(cuts) == verdict(()) == verdict(range(len(stream)))


def test_comments_and_unknown_fields_are_ignored():
    stream = sse.comment("still here") + b":\ncolour: red\n" + sse.event(b"x") + sse.comment()

    assert decode(stream) == [SseEvent(b"x")]


def test_a_byte_order_mark_is_ignored_at_the_start_only():
    mark = b"\xef\xbb\xbf"

    events = decode(mark + b"data: a\n\n" + mark + b"data: b\n\ndata: c\n\n", cuts=(1, 2))

    assert events == [SseEvent(b"a"), SseEvent(b"c")]


def test_an_event_without_data_is_not_given_out_but_its_id_is_kept():
    decoder = SseDecoder(LIMIT)

    assert decoder.feed(b"id: 41\n\nid: 42") == []
    assert decoder.last_event_id == "41"
    assert decoder.feed(b"\n\n") == []
    assert decoder.last_event_id == "42"


def test_a_priming_event_has_empty_data():
    assert decode(b"id: 1\ndata:\n\n") == [SseEvent(b"", id="1")]


@pytest.mark.parametrize(("field", "seconds"), [(b"1500", 1.5), (b"-1", None), (b"1e3", None), (b"9" * 10, None)])
def test_only_a_sensible_number_of_digits_sets_the_retry_time(field, seconds):
    decoder = SseDecoder(LIMIT)

    decoder.feed(b"retry: " + field + b"\n\n")

    assert decoder.retry_seconds == seconds


def test_an_event_cut_off_by_the_end_of_the_stream_is_not_given_out():
    assert decode(b"data: whole\n\ndata: half\n") == [SseEvent(b"whole")]


@pytest.mark.parametrize("piece", [b"data: abc\n", b"data\n", b"event: abc\n", b"data: abc", b": abc"])
def test_nothing_grows_past_the_limit_before_an_event_ends(piece):
    with pytest.raises(SseError):
        decode(piece * 1000, cuts=range(0, len(piece) * 1000, 7), limit=1000)


def test_many_events_may_together_be_larger_than_the_limit():
    stream = sse.event(b"x" * 80, "message") * 50

    assert len(decode(stream, limit=110)) == 50


def test_unicode_line_separators_do_not_break_a_line():
    data = "a\u2028b\x0bc\x85d".encode()

    assert sse.event(data).count(b"\n") == 2
    assert decode(sse.event(data)) == [SseEvent(data)]


@pytest.mark.parametrize("fields", [{"event": "a\nid: 1"}, {"event_id": "1\r"}, {"event_id": "\0"}])
def test_a_field_that_would_forge_another_cannot_be_encoded(fields):
    with pytest.raises(ValueError, match="may not have"):
        sse.event(b"", **fields)


def test_a_comment_that_would_forge_a_field_cannot_be_encoded():
    with pytest.raises(ValueError, match="line break"):
        sse.comment("x\ndata: y")
