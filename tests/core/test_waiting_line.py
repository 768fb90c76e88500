from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.core.waiting_line import SPARE, WaitingLine


class Model(RuleBasedStateMachine):
    """Keeps the same line as a plain list, and an account of how each entrant left it."""

    @initialize(limit=st.integers(0, 5))
    def start(self, limit):
        self.limit = limit
        self.line = WaitingLine(limit)
        self.now = 0.0
        self.inside = []
        """Entrant, class and end of each, in the order in which they came."""
        self.left = []
        self.came = 0

    @rule(cost=st.integers(0, 2), seconds=st.integers(-1, 5))
    def one_comes(self, cost, seconds):
        entrant, self.came = self.came, self.came + 1
        shed = self.line.enter(entrant, cost=cost, until=self.now + seconds)

        self.inside.append((entrant, cost, self.now + seconds))
        if len(self.inside) > self.limit:
            # of the most expensive class, the newcomer's own included, whoever came last
            expected = max(self.inside, key=lambda each: (each[1], each[0]))
            assert shed == expected[0]
            self.goes(expected)
        else:
            assert shed is None

    @rule()
    def somebody_has_his_turn(self):
        served = self.line.next()

        if self.inside:
            expected = min(self.inside, key=lambda each: (each[1], each[0]))
            assert served == expected[0]
            self.goes(expected)
        else:
            assert served is None

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def one_leaves(self, data):
        one = data.draw(st.sampled_from(self.inside))

        assert self.line.leave(one[0])
        self.goes(one)

    @precondition(lambda self: self.left)
    @rule(data=st.data())
    def one_who_is_gone_cannot_leave_again(self, data):
        assert not self.line.leave(data.draw(st.sampled_from(self.left)))

    @rule(seconds=st.integers(0, 3))
    def time_passes(self, seconds):
        self.now += seconds
        over = self.line.expire(self.now)

        expected = sorted((each for each in self.inside if each[2] <= self.now), key=lambda each: (each[2], each[0]))
        assert over == [each[0] for each in expected]
        for each in expected:
            self.goes(each)

    @rule()
    def all_are_sent_away(self):
        in_order = self.in_order()
        assert self.line.clear() == [each[0] for each in in_order]
        for each in in_order:
            self.goes(each)

    def goes(self, each):
        self.inside.remove(each)
        self.left.append(each[0])

    def in_order(self):
        return sorted(self.inside, key=lambda each: (each[1], each[0]))

    @invariant()
    def nobody_is_lost_and_nobody_is_too_many(self):
        assert len(self.line) == len(self.inside) <= self.limit
        assert list(self.line) == [each[0] for each in self.in_order()]
        assert self.line.next_end == min((each[2] for each in self.inside), default=None)
        assert sorted(self.left + [each[0] for each in self.inside]) == list(range(self.came))


TestWaitingLine = Model.TestCase


def test_one_who_left_and_came_again_is_as_one_who_just_came():
    line = WaitingLine(2)
    line.enter("early", cost=0, until=1.0)
    line.enter("other", cost=0, until=5.0)

    line.leave("early")
    line.enter("early", cost=0, until=9.0)

    assert line.expire(1.0) == []
    assert list(line) == ["other", "early"]


def test_what_is_remembered_of_those_who_left_is_bounded():
    line = WaitingLine(10)
    line.enter("patient", cost=2, until=0.5)

    for number in range(10_000):
        line.enter(number, cost=0, until=1.0 + number)
        assert line.next() == number

    assert len(line._ends) <= 2 * len(line) + SPARE + 1
    assert line.expire(0.5) == ["patient"]
