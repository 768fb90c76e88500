"""Streams of one principal at several ingress replicas that ask one Router, whatever overtakes what on its way."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.core.limits.admission import Reason
from actors.core.limits.lease import LEASE_SECONDS
from actors.core.limits.place_book import PlaceBook
from actors.core.limits.place_count import PlaceCount, Places, Want

MOST = 4
REPLICAS = 3
WHICH = st.integers(0, REPLICAS - 1)


class Replica:
    """One ingress replica, and what is on its way to and from the Router, in no order."""

    def __init__(self) -> None:
        self.count = PlaceCount(REPLICAS)
        self.open = 0
        self.outgoing: list[Want | Places] = []
        self.incoming: list[bool] = []


class Streams(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = PlaceBook()
        self.replicas = [Replica() for _ in range(REPLICAS)]
        self.now = 0.0

    @rule(which=WHICH)
    def ask(self, which: int) -> None:
        replica = self.replicas[which]
        want = replica.count.want("a", MOST)
        if want is not None:
            replica.outgoing.append(want)

    @rule(which=WHICH)
    def tell(self, which: int) -> None:
        self.replicas[which].outgoing.extend(self.replicas[which].count.report())

    @rule(which=WHICH, data=st.data())
    def reach_the_router(self, which: int, data: Any) -> None:
        replica = self.replicas[which]
        if replica.outgoing:
            said = replica.outgoing.pop(data.draw(st.integers(0, len(replica.outgoing) - 1)))
            if isinstance(said, Want):
                replica.incoming.append(self.book.give(str(which), said, self.now))
            else:
                self.book.tell(str(which), said, self.now)

    @rule(which=WHICH, data=st.data())
    def hear(self, which: int, data: Any) -> None:
        replica = self.replicas[which]
        if replica.incoming:
            self.open(replica, replica.incoming.pop(data.draw(st.integers(0, len(replica.incoming) - 1))))

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
        """When all is said and what was said too late is forgotten, whoever comes first may have all that is free."""
        for which, replica in enumerate(self.replicas):
            for said in replica.outgoing:
                if isinstance(said, Want):
                    replica.incoming.append(self.book.give(str(which), said, self.now))
                else:
                    self.book.tell(str(which), said, self.now)
            for given in replica.incoming:
                self.open(replica, given)
        self.now += LEASE_SECONDS + 1.0
        for which, replica in enumerate(self.replicas):
            for places in replica.count.report():
                self.book.tell(str(which), places, self.now)
        free = MOST - sum(replica.open for replica in self.replicas)
        before = self.replicas[0].open
        for _ in range(MOST + 1):
            want = self.replicas[0].count.want("a", MOST)
            assert want is not None
            self.open(self.replicas[0], self.book.give("0", want, self.now))
        assert self.replicas[0].open - before == free

    def open(self, replica: Replica, given: bool) -> None:
        replica.count.heard("a")
        replica.open += replica.count.enter("a", MOST, Reason.STREAMS, given) is None


TestStreams = Streams.TestCase
