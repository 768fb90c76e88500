from hypothesis import given
from hypothesis import strategies as st

from actors.core.balancing.candidate import Candidate
from actors.core.subset import subset_of

NAMES = st.sets(st.sampled_from("abcdef"))


def standing(names: str) -> list[Candidate[str]]:
    return [Candidate(name, 0.0, 1.0, name) for name in names]


def chosen(names: str, **narrowing: str) -> str:
    return "".join(candidate.name for candidate in subset_of(standing(names), **narrowing))


def test_without_a_reason_nobody_is_left_out():
    assert chosen("abc") == "abc"


def test_who_refuses_or_is_ejected_is_left_out_as_long_as_there_are_others():
    assert chosen("abc", refusing="a") == "bc"
    assert chosen("abc", ejected="b") == "ac"
    assert chosen("abc", refusing="a", ejected="b") == "c"
    assert chosen("abc", refusing="abc") == "abc"
    assert chosen("abc", ejected="abc") == "abc"


def test_an_ejected_one_is_better_than_one_that_refuses():
    assert chosen("ab", refusing="a", ejected="b") == "b"


def test_who_is_near_comes_first_as_long_as_one_of_them_takes_calls():
    assert chosen("abcd", near="ab") == "ab"
    assert chosen("abcd", near="ab", refusing="a") == "b"
    assert chosen("abcd", near="ab", refusing="a", ejected="b") == "cd"
    assert chosen("cd", near="ab") == "cd"


@given(present=NAMES.filter(bool), refusing=NAMES, ejected=NAMES, near=NAMES)
def test_somebody_is_always_left_and_nobody_worse_than_one_who_was_left_out(present, refusing, ejected, near):
    def rank(name: str) -> tuple[bool, bool, bool]:
        return name in refusing, name in ejected, name not in near

    left = subset_of(standing("".join(sorted(present))), refusing=refusing, ejected=ejected, near=near)

    names = {candidate.name for candidate in left}
    assert names
    assert names == {name for name in present if rank(name) == min(map(rank, present))}
