"""Who runs which test when pytest-xdist spreads them (`-n 2`): one worker all tests with gateways, the others the rest.

Gateways of two workers at once would take each other's time, and tests that measure time would see it.
"""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

WITH_GATEWAYS: Final = ("tests/e2e/", "tests/conformance/", "tests/cluster/")


class GatewaysTogether(LoadScopeScheduling):
    """Hands out what belongs together: all tests with gateways; each file of the others, since its fixtures are."""

    def _split_scope(self, nodeid: str) -> str:
        return "gateways" if nodeid.startswith(WITH_GATEWAYS) else nodeid.partition("::")[0]
