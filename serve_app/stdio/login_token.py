"""The access token of the person at this machine, for a bridge that runs for longer than a token lasts."""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

from serve_app.login.kept_login import KeptError, login_path
from serve_app.stdio.endpoint import GatewayGone

REUSED_SECONDS: Final = 5.0
"""How long a token is used without looking whether it lasts."""


class LoginToken:
    """That of a login at one gateway, as `Endpoint` wants it.

    `clock` gives Unix seconds, `monotonic` seconds that never go back; `folder` is where logins are kept.
    """

    def __init__(
        self, gateway: str, clock: Callable[[], float], monotonic: Callable[[], float], folder: Path | None = None
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._monotonic = monotonic
        self._folder = folder
        self._path = login_path(gateway, folder)
        self._token: str | None = None
        self._until = -math.inf
        self._turn = asyncio.Lock()

    async def __call__(self) -> str | None:
        """An access token, renewed where it must be; nothing where nobody is logged in.

        Raises:
            GatewayGone: somebody was, and is not any more, or it cannot be told now.
        """
        async with self._turn:
            if self._monotonic() >= self._until:
                self._token = await asyncio.to_thread(self._look)
                self._until = self._monotonic() + REUSED_SECONDS
            return self._token

    def _look(self) -> str | None:
        if not self._path.exists():
            return None
        # whoever is not logged in shall not wait for what it takes to speak with the gateway
        from serve_app.login.fresh_token import LoginOver, fresh_token
        from serve_app.login.gateway_door import DoorError

        try:
            return fresh_token(self._gateway, self._clock, self._folder)
        except (LoginOver, DoorError, KeptError) as error:
            raise GatewayGone(str(error)) from None
