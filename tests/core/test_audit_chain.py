"""The chain of the audit: what was done to a log is seen."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.audit.chain import Place, hash_of, linked
from actors.core.audit.digest import arguments_digest, session_digest
from actors.core.audit.event import Kind, encoded
from actors.core.audit.head import head_of, read_head
from actors.core.audit.keys import derived
from actors.core.audit.verification import Broken, Verified, verify
from tests.support.audit import KEY, chain, event

LINES = chain(12)
HEAD = Place(12, hash_of(LINES[-1][:-1]))

positions = st.integers(0, len(LINES) - 1)


def test_a_log_as_it_was_written_is_good() -> None:
    assert verify(LINES, KEY, HEAD) == Verified(12, 1, 12)
    assert verify(LINES, None) == Verified(12, 1, 12)
    assert verify([], KEY) == Verified(0, 0, 0)


@given(at=positions, data=st.data())
def test_any_change_of_any_line_is_found(at: int, data: st.DataObject) -> None:
    line = LINES[at]
    byte = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != line[byte]))
    changed = line[:byte] + bytes([other]) + line[byte + 1 :]

    found = verify([*LINES[:at], *_split(changed + b"".join(LINES[at + 1 :]))], KEY, HEAD)

    assert isinstance(found, Broken)
    # without its line break the last line is missing, and no line is wrong
    assert found.line in ({0, at + 1} if at == 11 else {at + 1}), found


@given(first=st.integers(0, 11), count=st.integers(1, 12))
def test_any_lines_that_are_removed_are_missed(first: int, count: int) -> None:
    left = LINES[:first] + LINES[first + count :]

    assert isinstance(verify(left, KEY, HEAD), Broken)


@given(order=st.permutations(range(12)))
def test_any_other_order_is_found(order: list[int]) -> None:
    found = verify([LINES[at] for at in order], KEY, HEAD)

    assert isinstance(found, Verified) is (order == sorted(order))


@given(at=st.integers(0, 12), copied=positions)
def test_a_line_that_is_there_twice_is_found(at: int, copied: int) -> None:
    assert isinstance(verify([*LINES[:at], LINES[copied], *LINES[at:]], KEY, HEAD), Broken)


def test_whoever_writes_the_rest_anew_without_the_key_is_found_by_it_and_by_nothing_else() -> None:
    forged = [*LINES[:5], *_written_anew(LINES[5:], b"x" * 32, Place(5, hash_of(LINES[4][:-1])))]

    with_key, without = verify(forged, KEY), verify(forged, None)

    assert with_key == Broken(6, "is not as it was written")
    assert isinstance(without, Verified)


def test_a_line_of_another_log_with_the_same_key_does_not_fit() -> None:
    place, others = Place(), []
    for number in range(12):
        line, place = linked(KEY, place, encoded(event(f"other-{number}")), "test", number)
        others.append(line)

    assert verify([*LINES[:5], others[5], *LINES[6:]], KEY) == Broken(6, "does not follow the line before it")


def test_without_the_key_a_changed_line_is_still_found_by_the_next_one() -> None:
    changed = LINES[4].replace(b"tool", b"evil")

    assert verify([*LINES[:4], changed, *LINES[5:]], None) == Broken(6, "does not follow the line before it")


def test_lines_missing_at_the_end_are_missed_by_the_head_and_only_by_it() -> None:
    assert verify(LINES[:-2], KEY, HEAD) == Broken(0, "lines 11 to 12 of the log are missing at its end")
    assert isinstance(verify(LINES[:-2], KEY), Verified)


def test_a_log_that_goes_on_beyond_its_head_is_good() -> None:
    assert isinstance(verify(LINES, KEY, Place(5, hash_of(LINES[4][:-1]))), Verified)
    assert verify(LINES, KEY, Place(5, hash_of(LINES[3][:-1]))) == Broken(5, "is not the one that the head names")


def test_files_that_may_be_gone_are_not_missed_and_others_are() -> None:
    second, place = linked(KEY, HEAD, encoded(event(kind=Kind.FILE, oldest=1)))
    third, _ = linked(KEY, place, encoded(event(kind=Kind.FILE, oldest=13)))

    assert verify([second, third], KEY) == Verified(2, 13, 14)
    assert verify([second], KEY) == Broken(0, "lines 1 to 12 of the log are missing: they were to be kept")
    assert verify([third], KEY) == Broken(0, "lines 13 to 13 of the log are missing: they were to be kept")
    assert verify(LINES[1:], KEY) == Broken(1, "does not begin a file: lines before it are missing")


def test_a_line_that_is_being_written_is_no_fault_and_a_half_one_in_the_midst_is() -> None:
    assert verify([*LINES[:-1], LINES[-1][:20]], KEY) == Verified(11, 1, 11, unfinished=True)
    assert verify([*LINES[:4], LINES[4][:-1], *LINES[5:]], KEY) == Broken(5, "ends in the middle")


def test_what_the_log_says_of_its_losses_is_told() -> None:
    place, lines = Place(), []
    for made in (event(kind=Kind.FILE, oldest=1), event(kind=Kind.LOSS, count=7), event(kind=Kind.TORN, count=9)):
        line, place = linked(KEY, place, encoded(made))
        lines.append(line)

    assert verify(lines, KEY) == Verified(3, 1, 3, losses=7, torn=1)


def test_a_head_is_believed_of_who_has_the_key_only() -> None:
    assert read_head(KEY, head_of(KEY, HEAD)) == HEAD
    assert read_head(KEY, head_of(b"x" * 32, HEAD)) is None
    assert read_head(None, head_of(b"x" * 32, HEAD)) == HEAD
    assert read_head(KEY, b"") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [(b'{"a":1,"b":[1,{"c":2,"d":3}]}', b'{ "b" : [1, {"d":3,"c":2}], "a":1 }'), (b"{}", b" {} ")],
)
def test_equal_arguments_have_equal_digests_however_they_are_written(one: bytes, other: bytes) -> None:
    assert arguments_digest(KEY, one) == arguments_digest(KEY, other)


@given(
    st.recursive(
        st.none() | st.integers(0, 9) | st.text(max_size=3),
        lambda v: st.lists(v) | st.dictionaries(st.text(max_size=2), v),
    )
)
def test_other_arguments_and_other_keys_have_other_digests(value: object) -> None:
    raw = msgspec.json.encode(value)

    assert arguments_digest(KEY, raw) != arguments_digest(KEY, msgspec.json.encode([value]))
    assert arguments_digest(KEY, raw) != arguments_digest(b"x" * 32, raw)


@pytest.mark.parametrize("raw", [b"[" * 5000, b"1e999", b'{"a":' + b"9" * 400 + b"}", b"x" * 100_000, b"\xff"])
def test_what_has_no_one_form_has_a_digest_all_the_same(raw: bytes) -> None:
    assert len(arguments_digest(KEY, raw)) == 32


def test_sessions_have_digests_of_their_own_and_no_session_has_none() -> None:
    assert session_digest(KEY, b"n" * 16) != arguments_digest(KEY, b"n" * 16)
    assert session_digest(KEY, b"") == ""


def test_no_key_tells_of_another_and_none_is_shown() -> None:
    keys = derived(KEY)

    assert len({KEY, keys.lines, keys.arguments}) == 3
    assert repr(keys.lines) not in repr(keys)


def _split(content: bytes) -> list[bytes]:
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _written_anew(lines: list[bytes], key: bytes, place: Place) -> list[bytes]:
    written = []
    for line in lines:
        changed = line.split(b'"event":')[1].rsplit(b',"mac"', 1)[0].replace(b"tool", b"evil")
        made, place = linked(key, place, changed, "test")
        written.append(made)
    return written
