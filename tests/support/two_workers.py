"""Who runs which test when pytest-xdist spreads them (`-n 2`): few gateways at once, and all of a kind by one worker.

Gateways of two workers at once take each other's time. So those of the end-to-end and conformance tests, some of which
are shared by many tests, are one worker's while the other has the tests without any. Then one kills what it can under
load, and the other joins a Ray that was there before.
"""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = {
    "tests/e2e/": "gateways",
    "tests/conformance/": "gateways",
    "tests/cluster/joined/": "joined",
    "tests/cluster/": "cluster",
}
"""By how a test's name begins, the first that fits: with what it belongs together."""


class GatewaysTogether(LoadScopeScheduling):
    """Hands out what belongs together; of the tests without gateways each file, since its fixtures are."""

    def _split_scope(self, nodeid: str) -> str:
        return next((scope for start, scope in TOGETHER.items() if nodeid.startswith(start)), nodeid.partition("::")[0])
