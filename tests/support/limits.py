"""Ingress replicas that share rate limits, on a clock that is moved by hand."""

from collections.abc import Sequence

from actors.core.caller import Caller
from actors.core.limit_settings import RateSettings
from actors.core.limits.admission import Admitted, Refused
from actors.core.limits.lease import INTERVAL_SECONDS
from actors.core.limits.limiter import Limiter
from actors.core.limits.share_book import ShareBook
from actors.core.principal import Kind, Principal

TICKS = 100
"""In a second of a simulation."""


def caller(
    subject: str = "alice", *, client: str = "", roles: tuple[str, ...] = (), ip: str = "192.0.2.1", issuer: str = "idp"
) -> Caller:
    return Caller(Principal(subject, issuer, Kind.TOKEN, client=client, roles=roles), ip)


class SharedLimits:
    """Several limiters and one book; each reports at its own time within the interval."""

    def __init__(self, rates: Sequence[RateSettings], replicas: int) -> None:
        self.limiters = [Limiter(rates, replicas) for _ in range(replicas)]
        self.book: ShareBook | None = ShareBook()
        """Nothing while the Router is away."""
        self.ticks = 0
        self._owed = [0.0] * replicas

    @property
    def now(self) -> float:
        return 1000.0 + self.ticks / TICKS

    def run(self, seconds: float, demands: Sequence[float], who: Caller | None = None) -> list[int]:
        """Let each replica be asked so many times a second; gives what was admitted in each whole second."""
        admitted: list[int] = []
        for tick in range(round(seconds * TICKS)):
            if tick % TICKS == 0:
                admitted.append(0)
            for index, demand in enumerate(demands):
                self._owed[index] += demand / TICKS
                while self._owed[index] >= 1:
                    self._owed[index] -= 1
                    admitted[-1] += isinstance(self.ask(index, who), Admitted)
            self._exchange()
            self.ticks += 1
        return admitted

    def ask(self, index: int, who: Caller | None = None) -> Admitted | Refused:
        return self.limiters[index].check(who or caller(), "git", "log", self.now)

    def _exchange(self) -> None:
        interval = round(INTERVAL_SECONDS * TICKS)
        for index, limiter in enumerate(self.limiters):
            if (self.ticks + index * interval // len(self.limiters)) % interval == 0:
                uses = limiter.report(self.now)
                if self.book is None:
                    limiter.go_on(self.now)
                elif uses:
                    limiter.renew(self.book.share(str(index), uses, self.now), self.now)
