"""Globs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.policy.globs import matcher_of
from tests.support.policy_oracle import fits


@given(st.lists(st.text("ab*?\n", max_size=6), max_size=3), st.text("ab\n", max_size=8))
def test_a_glob_matches_what_trying_everything_finds(globs: list[str], text: str) -> None:
    assert matcher_of(tuple(globs))(text) is any(fits(glob, text) for glob in globs)


@pytest.mark.parametrize(("glob", "text"), [("[a]", "a"), ("a.c", "abc"), ("A", "a"), ("a", "a\n"), ("a*", "")])
def test_nothing_but_stars_and_question_marks_is_special(glob: str, text: str) -> None:
    assert not matcher_of((glob,))(text)


def test_many_stars_cost_little_even_where_they_do_not_fit() -> None:
    matches = matcher_of(("*a" * 40 + "*b",))
    begun = time.process_time()

    assert not matches("a" * 4000)
    assert time.process_time() - begun < 1.0
