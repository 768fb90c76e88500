"""A call's time ends once, stands still while it is parked, and begins anew with progress, but not for ever."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.call_limit import LEAST_SECONDS, CallLimit
from tests.support.hand_clock import HandClock
from tests.support.hand_timers import HandTimers


class Watched:
    """A limit of 60 seconds, and what it has said; time passes as far as it is let."""

    def __init__(self, **options: Any) -> None:
        self.clock = HandClock(0.0)
        self.timers = HandTimers()
        self.said: list[str] = []
        self.limit = CallLimit(self.clock, self.timers, **options)
        self.limit.start(60.0, self.said.append)

    def pass_time(self, seconds: float) -> None:
        """Let timers go off when they are due."""
        until = self.clock() + seconds
        while (left := self._due_in()) is not None and self.clock() + left <= until:
            self.clock.advance(left)
            self.timers.go_off()
        self.clock.now = until

    def _due_in(self) -> float | None:
        waiting = [timer for timer in self.timers._set if timer.callback]
        for timer in waiting:
            timer.ends = getattr(timer, "ends", self.clock() + timer.seconds)
        return min((timer.ends - self.clock() for timer in waiting), default=None)


def test_without_progress_a_call_has_its_own_time():
    watched = Watched(anew=60.0, most=3600.0)

    watched.pass_time(59.9)
    before = list(watched.said)
    watched.pass_time(0.2)

    assert (before, watched.said) == ([], ["after 60 s"])


def test_progress_gives_a_call_its_time_anew():
    watched = Watched(anew=60.0, most=3600.0)

    for _ in range(10):
        watched.pass_time(50.0)
        watched.limit.renew()
    before = list(watched.said)
    watched.pass_time(60.0)

    assert (before, watched.said) == ([], ["after 60 s without progress"])


def test_progress_changes_nothing_if_it_is_not_to():
    watched = Watched(anew=None)

    watched.pass_time(50.0)
    watched.limit.renew()
    watched.pass_time(10.0)

    assert watched.said == ["after 60 s"]


def test_progress_does_not_help_for_ever():
    watched = Watched(anew=60.0, most=150.0)

    for _ in range(20):
        watched.pass_time(10.0)
        watched.limit.renew()

    assert watched.said == ["after 150 s in all"]
    assert watched.timers.running == []


def test_a_limit_above_the_cap_is_kept_and_progress_adds_nothing_to_it():
    watched = Watched(anew=60.0, most=5.0)

    watched.pass_time(30.0)
    watched.limit.renew()
    watched.pass_time(29.0)
    before = list(watched.said)
    watched.pass_time(1.0)

    assert before == []
    assert len(watched.said) == 1


def test_progress_never_takes_time_away():
    watched = Watched(anew=5.0, most=3600.0)

    watched.limit.renew()
    watched.limit.park(300.0, lambda: watched.said.append("unanswered"))
    watched.limit.go_on()
    watched.pass_time(59.0)

    assert watched.said == []


def test_the_cap_stands_still_while_the_call_is_parked():
    watched = Watched(anew=60.0, most=130.0)
    watched.pass_time(50.0)
    watched.limit.renew()

    watched.limit.park(10_000.0, lambda: watched.said.append("unanswered"))
    watched.pass_time(1000.0)
    watched.limit.renew()
    watched.limit.go_on()
    watched.pass_time(50.0)
    watched.limit.renew()
    watched.pass_time(29.0)
    before = list(watched.said)
    watched.pass_time(2.0)

    assert (before, watched.said) == ([], ["after 130 s in all"])


def test_many_reports_of_progress_set_no_timers():
    watched = Watched(anew=60.0, most=3600.0)

    for _ in range(1000):
        watched.limit.renew()

    assert watched.timers.pauses == [60.0]


def test_who_is_over_is_not_begun_anew():
    watched = Watched(anew=60.0)

    watched.limit.stop()
    watched.limit.renew()
    watched.limit.go_on()

    assert watched.timers.running == []


@given(
    anew=st.floats(1.0, 100.0),
    most=st.floats(1.0, 500.0),
    steps=st.lists(st.tuples(st.sampled_from(["wait", "renew", "park", "go_on"]), st.floats(0.1, 90.0)), max_size=30),
)
def test_a_call_is_never_cut_off_early_nor_left_running_beyond_its_cap(
    anew: float, most: float, steps: list[tuple[str, float]]
):
    watched = Watched(anew=anew, most=most)
    ran, parked, answers = 0.0, False, 0

    for step, seconds in steps:
        match step:
            case "wait":
                watched.pass_time(seconds)
                ran += 0.0 if parked else seconds
            case "renew":
                watched.limit.renew()
            case "park":
                watched.limit.park(1e9, lambda: watched.said.append("unanswered"))
                parked = True
            case "go_on" if parked:
                watched.limit.go_on()
                parked, answers = False, answers + 1
        if watched.said:
            break
        # each answer may give a second to a call whose time was over
        assert ran <= max(60.0, most) + answers * LEAST_SECONDS + 0.001
        assert len(watched.timers.running) == 1

    if watched.said:
        assert len(watched.said) == 1
        assert ran >= 60.0 - 0.001


@pytest.mark.parametrize("anew", [60.0, None])
def test_what_is_said_of_a_call_that_never_reported_progress_is_its_own_time(anew: float | None):
    watched = Watched(anew=anew, most=60.0)

    watched.pass_time(60.0)

    assert watched.said == ["after 60 s"]
