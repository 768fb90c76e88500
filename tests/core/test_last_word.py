from actors.core.breaker import State
from actors.core.last_word import FRESH_SECONDS, LastWord
from actors.core.load import Load


def test_the_calls_of_others_count_until_the_news_is_old():
    word = LastWord()

    word.hear(Load(7), own=3, now=100.0)

    assert word.others(100.0) == 4
    assert word.others(100.0 + FRESH_SECONDS) == 0


def test_calls_of_ours_that_it_does_not_know_yet_make_nobody_less_than_nobody():
    word = LastWord()

    word.hear(Load(1), own=3, now=100.0)

    assert word.others(100.0) == 0


def test_an_open_breaker_refuses_for_as_long_as_it_said_from_when_it_was_heard():
    word = LastWord()
    load = Load(0, State.OPEN, retry_after=30.0)

    word.hear(load, 0, 100.0)
    word.hear(load, 0, 120.0)

    assert word.is_refusing(129.0)
    assert not word.is_refusing(130.0)


def test_a_breaker_that_is_not_open_any_more_refuses_nothing():
    for state in (State.CLOSED, State.HALF_OPEN):
        word = LastWord()
        word.hear(Load(0, State.OPEN, retry_after=30.0), 0, 100.0)

        word.hear(Load(0, state), 0, 101.0)

        assert not word.is_refusing(101.0)


def test_a_refusal_that_is_forgotten_is_not_heard_again_from_the_same_news():
    word, load = LastWord(), Load(0, State.OPEN, retry_after=30.0)
    word.hear(load, 0, 100.0)

    word.forget_refusal()
    word.hear(load, 0, 101.0)
    tried = not word.is_refusing(101.0)
    word.hear(Load(0, State.OPEN, retry_after=29.0), 0, 101.0)

    assert tried
    assert word.is_refusing(101.0)


def test_before_anything_was_heard_nobody_is_there_and_nothing_refused():
    word = LastWord()

    assert not word.is_refusing(0.0)
    assert word.others(0.0) == 0
