"""The parser of the load driver: whatever way a response arrives, it is the same response."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.http_client import MAX_REASONS, MAX_RESPONSE_BYTES, Measured, Response, ResponseReader

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: AbC"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


def with_length(body: bytes) -> bytes:
    return HEAD + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(parts: list[bytes]) -> bytes:
    joined = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    return HEAD + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + joined + b"0\r\n\r\n"


def fed(data: bytes, cuts: list[int]) -> Response:
    reader = ResponseReader()
    *before, last = pieces(data, cuts)
    for piece in before:
        assert reader.feed(piece) is None
    response = reader.feed(last)
    assert response is not None
    return response


@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_a_response_with_a_length_is_whole_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    response = fed(with_length(body), cuts)

    assert (response.status, response.body) == (200, body)


@given(
    parts=st.lists(st.binary(max_size=100) | st.just(b"0\r\n\r\n"), max_size=5),
    cuts=st.lists(st.integers(0, 1000), max_size=8),
)
def test_a_response_in_chunks_is_whole_however_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    response = fed(in_chunks(parts), cuts)

    assert (response.status, response.body) == (200, b"".join(parts))


def test_a_header_is_found_in_any_case_and_keeps_its_value() -> None:
    response = fed(with_length(b""), [])

    assert response.header("mcp-session-id") == "AbC"
    assert response.header("session-id") == ""


@pytest.mark.parametrize(
    "data", [b"HTTP/1.0 200 OK\r\n\r\n", b"garbage\r\n\r\n", with_length(b"x") + b"HTTP/1.1 200 OK"]
)
def test_what_is_not_one_response_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"HTTP/1\.1|more than one"):
        ResponseReader().feed(data)


def test_a_response_without_end_is_refused() -> None:
    reader = ResponseReader()

    with pytest.raises(ValueError, match="too large"):
        reader.feed(b"x" * (MAX_RESPONSE_BYTES + 1))


def test_reasons_that_all_differ_are_counted_as_one_beyond_a_few() -> None:
    measured = Measured()

    for number in range(100):
        measured.fail(f"error {number}")

    assert measured.failures.total() == 100
    assert len(measured.failures) == MAX_REASONS + 1
