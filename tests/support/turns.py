"""In which order the tests run, and which of them belong together when pytest-xdist spreads them (`-n 2`).

Gateways of two workers at once take each other's time, and tests that measure time would see it. So one worker has all
tests with gateways, those that kill things under load last of all, while the other has those without any.
"""

from typing import Final

GATEWAYS: Final = ("tests/e2e/", "tests/conformance/", "tests/cluster/")
"""The order in which they come."""


def scope_of(name: str) -> str:
    """What a test belongs together with, and is run with by one worker: without a gateway those of its file."""
    return "gateways" if name.startswith(GATEWAYS) else name.partition("::")[0]


def turn_of(name: str) -> int:
    """What begins early lasts long; tests without a gateway come after all that have one."""
    return next((turn for turn, start in enumerate(GATEWAYS) if name.startswith(start)), len(GATEWAYS))
