"""A process of Backends takes no link before it has keys, and it asks until it has."""

import pytest

from actors.bus.keychain import Keychain
from actors.core.link_keys import LinkKeys
from actors.link_key_fetch import fetch_link_keys
from tests.support.bus import RING
from tests.support.control_plane import RecordingRouter


class Pauses:
    """What happens to the Router while it is waited for: one thing in each pause."""

    def __init__(self, router: RecordingRouter, *happenings: str) -> None:
        self.router = router
        self.left = list(happenings)

    async def __call__(self, _seconds: float) -> None:
        happening = self.left.pop(0)
        self.router.gone = happening == "gone"
        if happening == "told":
            self.router.ring = RING


async def test_it_asks_until_the_router_is_there_and_was_told() -> None:
    router, keys = RecordingRouter(), Keychain()
    pauses = Pauses(router, "gone", "back", "told")

    await fetch_link_keys(keys, router, pauses)  # type: ignore[arg-type]

    assert keys.keys == RING
    assert pauses.left == []


async def test_who_has_keys_asks_nobody() -> None:
    router, keys = RecordingRouter(), Keychain(RING)
    router.gone = True

    await fetch_link_keys(keys, router)  # type: ignore[arg-type]

    assert keys.keys == RING


async def test_it_gives_up_after_a_while() -> None:
    keys = Keychain()

    with pytest.raises(TimeoutError):
        await fetch_link_keys(keys, RecordingRouter(), seconds=0.01)  # type: ignore[arg-type]

    assert keys.keys == LinkKeys()
