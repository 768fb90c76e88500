"""In which order the tests run, and which of them belong together when pytest-xdist spreads them (`-n 2`).

Gateways of two workers at once take each other's time. So those of the end-to-end and conformance tests, some of which
are shared by many tests, are one worker's while the other has the tests without any. Then one kills what it can under
load, and the other joins a Ray that was there before.
"""

from typing import Final

GATEWAYS: Final = "gateways"
CLUSTER: Final = "cluster"
JOINED: Final = "joined"

TOGETHER: Final = {
    "tests/e2e/": GATEWAYS,
    "tests/conformance/": GATEWAYS,
    "tests/cluster/joined/": JOINED,
    "tests/cluster/": CLUSTER,
}
"""By how a test's name begins, the first that fits: with what it belongs together."""

LAST: Final = (CLUSTER, JOINED)


def scope_of(name: str) -> str:
    """What a test belongs together with, and is run with by one worker: without a gateway those of its file."""
    return next((scope for start, scope in TOGETHER.items() if name.startswith(start)), name.partition("::")[0])


def turn_of(name: str) -> int:
    """What begins early lasts long; what comes late wants the machine for itself."""
    scope = scope_of(name)
    return 0 if scope == GATEWAYS else 2 + LAST.index(scope) if scope in LAST else 1
