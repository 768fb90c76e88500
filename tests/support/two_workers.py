"""Who runs which test when pytest-xdist spreads them."""

from xdist.scheduler import LoadScopeScheduling

from tests.support.turns import scope_of


class GatewaysTogether(LoadScopeScheduling):
    """Hands out what belongs together, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
