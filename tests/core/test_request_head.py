"""Heads of requests that are too large, or that two readers would read differently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import request_head
from actors.core.request_head import MAX_FIELD_BYTES, MAX_FIELDS, MAX_TARGET_BYTES, SINGLE, fault_of

USUAL = [(b"host", b"gw"), (b"content-type", b"application/json"), (b"content-length", b"2"), (b"accept", b"*/*")]


def test_a_usual_head_passes() -> None:
    assert fault_of(4, USUAL) is None
    assert fault_of(MAX_TARGET_BYTES, [*USUAL, (b"accept", b"text/html"), (b"content-encoding", b"identity")]) is None


@pytest.mark.parametrize(
    ("target", "more", "fault"),
    [
        (MAX_TARGET_BYTES + 1, [], request_head.URI_TOO_LONG),
        (4, [(b"x", b"")] * (MAX_FIELDS - len(USUAL) + 1), request_head.TOO_MANY_FIELDS),
        (4, [(b"x", b"a" * MAX_FIELD_BYTES)], request_head.FIELDS_TOO_LARGE),
        (4, [(b"a" * MAX_FIELD_BYTES, b"")], request_head.FIELDS_TOO_LARGE),
        (4, [(b"transfer-encoding", b"chunked")], request_head.TWO_LENGTHS),
        (4, [(b"content-encoding", b"gzip")], request_head.ENCODED),
        (4, [(b"content-encoding", b"identity, br")], request_head.ENCODED),
    ],
)
def test_a_head_that_is_too_much_is_refused(
    target: int, more: list[tuple[bytes, bytes]], fault: request_head.BadHead
) -> None:
    assert fault_of(target, [*USUAL, *more]) == fault


@pytest.mark.parametrize("length", [b"2, 2", b"+2", b"-1", b"0x2", b"", b"2 2"])
def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    assert fault_of(4, [(b"content-length", length)]) == request_head.NO_LENGTH


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_what_may_be_there_once_is_refused_twice_even_if_both_say_the_same(name: bytes) -> None:
    assert fault_of(4, [(name, b"1"), (name, b"1")]) == request_head.REPEATED


@given(names=st.lists(st.sampled_from(sorted(SINGLE)), max_size=8), value=st.binary(max_size=4))
def test_what_passes_never_holds_a_single_field_twice(names: list[bytes], value: bytes) -> None:
    passes = fault_of(4, [(name, value) for name in names]) is None

    assert not passes or len(set(names)) == len(names)
