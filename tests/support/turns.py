"""In which order the tests run, and which of them belong together when pytest-xdist spreads them (`-n 2`).

Gateways of two workers at once take each other's time, and tests that kill something under load measure time. So one
worker has the tests that only talk to gateways and then those; the other has those of conformance first, and then the
many without any gateway, and is done with all of it when the killing begins.
"""

from typing import Final

TURNS: Final = {"tests/e2e/": "gateways", "tests/cluster/": "gateways", "tests/conformance/": "conformance"}
"""The folders whose tests need gateways, in the order in which they come, and what they belong together with."""


def scope_of(name: str) -> str:
    """What a test belongs together with, and is run with by one worker: without a gateway those of its file."""
    return next((scope for start, scope in TURNS.items() if name.startswith(start)), name.partition("::")[0])


def turn_of(name: str) -> int:
    """What begins early lasts long; tests without a gateway come after all that have one."""
    return next((turn for turn, start in enumerate(TURNS) if name.startswith(start)), len(TURNS))
