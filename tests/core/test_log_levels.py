"""A caller hears what is as severe as it asked for, and more severe, and nothing if it did not ask."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.log_levels import LOG_LEVELS, is_more_verbose, wants_log

levels = st.sampled_from(LOG_LEVELS)


def message(level: object) -> bytes:
    return json.dumps({"level": level, "data": {"level": "debug"}}).encode()


@given(wanted=levels, level=levels)
def test_a_message_is_heard_if_it_is_at_least_as_severe(wanted: str, level: str):
    assert wants_log(wanted, message(level)) == (LOG_LEVELS.index(level) >= LOG_LEVELS.index(wanted))


@given(levels)
def test_whoever_asked_for_no_level_hears_nothing(level: str):
    assert not wants_log(None, message(level))


@pytest.mark.parametrize("params", [message("trace"), message(7), b"{}", b"[]", b"", b'{"level":"\xff"}'])
def test_what_cannot_be_placed_is_heard(params: bytes):
    assert wants_log("emergency", params)


@given(levels, levels)
def test_one_level_is_more_verbose_than_another_and_never_the_other_way_round(one: str, other: str):
    assert is_more_verbose(one, other) == (LOG_LEVELS.index(one) < LOG_LEVELS.index(other))


@given(levels)
def test_any_level_is_more_verbose_than_none_and_an_unknown_one_never(level: str):
    assert is_more_verbose(level, None)
    assert not is_more_verbose("chatty", level)
    assert not is_more_verbose("chatty", None)
