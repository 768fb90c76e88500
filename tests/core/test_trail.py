import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.membership import ReplicaKey
from actors.core.trail import Question, Trail, decode_question, decode_trail, encode, event_id, split_event_id
from actors.core.where import Where

TEXT = st.text(max_size=8)
WHERES = st.builds(
    Where, st.builds(ReplicaKey, TEXT, st.integers(0, 99)), TEXT, st.binary(max_size=16), st.integers(0, 2**53)
)
RAW = st.binary(max_size=8)


@given(trail=st.builds(Trail, WHERES, TEXT, RAW, TEXT, st.none() | RAW))
def test_a_trail_survives_its_journey(trail):
    assert decode_trail(encode(trail)) == trail


@given(question=st.builds(Question, WHERES, st.integers(0, 2**53)))
def test_a_question_survives_its_journey(question):
    assert decode_question(encode(question)) == question


@given(sealed=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True), number=st.integers(0, 10**15 - 1))
def test_an_event_id_holds_the_trail_and_the_number(sealed, number):
    written = event_id(sealed, number)

    assert split_event_id(written.decode()) == (sealed, number)
    assert b"\n" not in written


@given(text=st.text("ab0129.-é٣²", max_size=12) | st.text(max_size=12))
def test_whatever_text_is_taken_for_an_event_id_is_split_or_refused(text):
    split = split_event_id(text)

    assert split is None or (text.startswith(split[0] + ".") and split[1] >= 0)


@pytest.mark.parametrize("text", ["", "x", "x.", "x.-1", "x.1.5e3", "x. 1", "x.٣", "x.²", "x." + "9" * 5000])
def test_what_does_not_end_in_a_number_is_no_event_id(text):
    assert split_event_id(text) is None
