"""Asking and telling an actor through its Ray handle. A dead actor becomes a value."""

import asyncio
from typing import Any, Final

from ray.exceptions import ActorDiedError, RayError

from actors.refs.gone import ActorGone

CALL_LIMIT: Final = 10.0
"""Seconds for a control-plane call that should be immediate."""

START_LIMIT: Final = 60.0
"""Seconds for the first call of an actor: Ray may still be starting its process."""

WATCH_SECONDS: Final = 25.0
"""How long the Router holds a watch that has nothing to tell."""


async def ask(method: Any, *args: Any, limit: float = CALL_LIMIT) -> Any:
    """Send, and wait for the answer, at most `limit` seconds.

    Raises:
        ActorGone: there was none.
    """
    try:
        async with asyncio.timeout(limit):
            return await method.remote(*args)
    except (RayError, TimeoutError) as error:
        raise ActorGone(type(error).__name__, for_good=isinstance(error, ActorDiedError)) from error


def tell(method: Any, *args: Any) -> None:
    """Send, and do not wait."""
    try:
        method.remote(*args)
    except RayError:
        return  # telling promises nothing; who must know will be told again
