"""Streams of one principal at several ingress replicas that ask one Router, whatever is on its way when."""

from collections import deque
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.core.limits.admission import Reason
from actors.core.limits.hold_book import HoldBook
from actors.core.limits.hold_count import Grant, Hold, HoldCount

MOST = 4
REPLICAS = 3
WHICH = st.integers(0, REPLICAS - 1)


class Message(NamedTuple):
    """What a replica tells the Router, and what comes back."""

    opens: bool
    """Whether a stream is waiting for the answer."""
    said: Hold | Grant


class Replica:
    """One ingress replica, and what is on its way to and from the Router: both keep their order."""

    def __init__(self) -> None:
        self.count = HoldCount(REPLICAS)
        self.open = 0
        self.outgoing: deque[Message] = deque()
        self.incoming: deque[Message] = deque()


class Streams(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = HoldBook()
        self.replicas = [Replica() for _ in range(REPLICAS)]

    @rule(which=WHICH)
    def ask(self, which: int) -> None:
        replica = self.replicas[which]
        hold = replica.count.ask("a", MOST, 0.0)
        if hold is not None:
            replica.outgoing.append(Message(True, hold))

    @rule(which=WHICH)
    def tell(self, which: int) -> None:
        replica = self.replicas[which]
        replica.outgoing.extend(Message(False, hold) for hold in replica.count.report(0.0))

    @rule(which=WHICH)
    def reach_the_router(self, which: int) -> None:
        replica = self.replicas[which]
        if replica.outgoing:
            opens, said = replica.outgoing.popleft()
            assert isinstance(said, Hold)
            replica.incoming.extend(Message(opens, grant) for grant in self.book.grant(str(which), [said], 0.0))

    @rule(which=WHICH)
    def hear(self, which: int) -> None:
        replica = self.replicas[which]
        if replica.incoming:
            opens, said = replica.incoming.popleft()
            assert isinstance(said, Grant)
            replica.count.renew([said], 0.0)
            if opens:
                replica.count.heard("a")
                replica.open += replica.count.enter("a", MOST, 0.0, Reason.STREAMS) is None

    @rule(which=WHICH)
    def close(self, which: int) -> None:
        replica = self.replicas[which]
        if replica.open:
            replica.open -= 1
            replica.count.leave("a")

    @invariant()
    def there_are_never_too_many(self) -> None:
        assert sum(replica.open for replica in self.replicas) <= MOST

    def teardown(self) -> None:
        """When all is said, whoever comes first may have all that is free."""
        for _ in range(2):  # with the first, what is under way comes to an end
            for which, replica in enumerate(self.replicas):
                self.tell(which)
                while replica.outgoing:
                    self.reach_the_router(which)
                while replica.incoming:
                    self.hear(which)
        free = MOST - sum(replica.open for replica in self.replicas)
        before = self.replicas[0].open
        for _ in range(MOST + 1):
            self.ask(0)
            self.reach_the_router(0)
            self.hear(0)
        assert self.replicas[0].open - before == free


TestStreams = Streams.TestCase
