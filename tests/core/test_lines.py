import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.core.lines import EDGE_BYTES, LineSplitter, Overlong, answered_id

CHUNKS = st.lists(st.binary(max_size=40) | st.sampled_from([b"\n", b"\n\n", b"a\n", b"x" * 30]), max_size=30)


def expected(data: bytes, limit: int) -> list[bytes | Overlong]:
    *lines, rest = data.split(b"\n")
    whole = [*lines, rest] if rest else lines
    return [line if len(line) <= limit else Overlong(line[:EDGE_BYTES], line[-EDGE_BYTES:]) for line in whole]


@settings(deadline=None)
@given(chunks=CHUNKS, limit=st.integers(1, 60))
def test_lines_are_the_same_however_the_bytes_arrive(chunks, limit):
    splitter = LineSplitter(limit)

    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()

    assert lines == expected(b"".join(chunks), limit)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=8))
def test_of_an_overlong_line_both_ends_are_kept_however_the_bytes_arrive(sizes):
    line = bytes(index % 240 + 11 for index in range(sum(sizes) + 100))
    splitter = LineSplitter(100)

    seen = []
    rest = line
    for size in sizes:
        seen += splitter.feed(rest[:size])
        rest = rest[size:]
    seen += splitter.feed(rest + b"\nnext\n")

    assert seen == [Overlong(line[:EDGE_BYTES], line[-EDGE_BYTES:]), b"next"]


def test_an_overlong_line_is_not_kept_in_memory():
    splitter = LineSplitter(1000)

    for _ in range(1000):
        splitter.feed(b"x" * 10_000)

    assert len(splitter._partial) + len(splitter._head or b"") + len(splitter._tail) <= 2 * EDGE_BYTES


def test_a_finished_splitter_has_nothing_left():
    splitter = LineSplitter(10)
    splitter.feed(b"one\ntwo")

    assert splitter.finish() == [b"two"]
    assert splitter.finish() == []


def ends_of(line: bytes) -> Overlong:
    return Overlong(line[:EDGE_BYTES], line[-EDGE_BYTES:])


FILLER = "x" * 2000


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":7,"result":{"text":"%s"}}',
        b'{"jsonrpc": "2.0", "id": 7, "result": {"text": "%s"}}',
        b'{"id":7,"result":{"text":"%s"},"jsonrpc":"2.0"}',
        b'{"id":7,"error":{"code":1,"message":"%s"}}',
        b'{"jsonrpc":"2.0","result":{"text":"%s"},"id":7}',
        b'{"result":{"text":"%s"},"id":7,"jsonrpc":"2.0"}',
        b' { "result" : {"text":"%s"} , "id" : 7 , "jsonrpc" : "2.0" } \r',
    ],
)
def test_the_id_of_an_overlong_response_is_known_wherever_servers_put_it(line):
    assert answered_id(ends_of(line % FILLER.encode())) == 7


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"text":"%s"}}',
        b'{"jsonrpc":"2.0","method":"sampling/createMessage","params":{"text":"%s"},"id":7}',
        b'{"jsonrpc":"2.0","result":{"text":"%s","id":7}}',
        b'{"jsonrpc":"2.0","result":{"text":"%s,\\"id\\":7}"}}',
        b'{"jsonrpc":"2.0","id":"7","result":{"text":"%s"}}',
        b'{"jsonrpc":"2.0","id":7.5,"result":{"text":"%s"}}',
        b'[{"jsonrpc":"2.0","id":7,"result":{"text":"%s"}}]',
        b'{"result":{"text":"%s"},"meta":{"a":1,"id":7}}',
        b"%s",
    ],
)
def test_what_is_not_surely_the_id_of_a_response_is_not_taken_for_one(line):
    assert answered_id(ends_of(line % FILLER.encode())) is None


NESTED = st.recursive(
    st.integers(0, 9) | st.sampled_from(['"id":3,', ',"id":4}', "x" * 700, ""]),
    lambda inner: st.dictionaries(st.sampled_from(["id", "result", "error", "method", "a"]), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    members=st.fixed_dictionaries(
        {},
        optional={
            "jsonrpc": st.just("2.0"),
            "id": st.integers(0, 99) | st.text(max_size=3),
            "result": NESTED,
            "error": NESTED,
            "method": st.just("m"),
            "params": NESTED,
            "_meta": NESTED,
        },
    ),
    order=st.randoms(use_true_random=False),
    compact=st.booleans(),
)
def test_an_answered_id_is_never_any_other_than_that_of_a_response(members, order, compact):
    keys = list(members)
    order.shuffle(keys)
    separators = (",", ":") if compact else (", ", ": ")
    line = json.dumps({key: members[key] for key in keys}, separators=separators).encode()

    found = answered_id(ends_of(line))

    assert found is None or (found == members["id"] and ("result" in members or "error" in members))
