"""Knocks at the door that was opened, until the ingress answers and knows what the command knows."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import httpx

from actors.core.membership import ReplicaState, Status
from actors.core.settings import ServerSettings
from serve_app.own_way import own_socket

DOOR_SECONDS: Final = 30.0
"""How long the first answer may take after Serve says that the application runs."""

NEWS_SECONDS: Final = 10.0
"""How long the ingress may take to hear which backends are up; one may also have gone down meanwhile."""

KNOCK_SECONDS: Final = 0.1
"""Between two attempts."""

Get = Callable[[], Awaitable[object]]
"""Fetches the page of health, as decoded; raises `httpx.HTTPError` or `ValueError` where there is none."""


class NobodyAnswers(Exception):  # noqa: N818 - what happened
    """The ingress did not answer in time."""


async def knock(get: Get, up: int, *, door_seconds: float = DOOR_SECONDS, news_seconds: float = NEWS_SECONDS) -> None:
    """Wait until the ingress answers, and then, but not for ever, until it says that so many backends are up.

    Raises:
        NobodyAnswers: no page of our own came back that knows of any backend.
    """
    if not await _within(door_seconds, get, lambda seen: seen is not None):
        raise NobodyAnswers(f"after {door_seconds:g} s")
    await _within(news_seconds, get, lambda seen: seen is not None and seen >= up)


async def knock_at(server: ServerSettings, statuses: Iterable[Status]) -> None:
    """Knock at the door of a gateway whose replicas came to this.

    Raises:
        NobodyAnswers: see `knock`.
    """
    up = len({status.key.backend for status in statuses if status.state is ReplicaState.UP})
    socket = own_socket(server)
    transport = None if socket is None else httpx.AsyncHTTPTransport(uds=socket)
    async with httpx.AsyncClient(trust_env=False, transport=transport) as client:

        async def get() -> object:
            # a name that the guard admits whatever hosts are configured
            return (await client.get(health_url(server), headers={"host": "localhost"})).json()

        await knock(get, up)


def health_url(server: ServerSettings) -> str:
    """Where the page of health is to be had on this machine."""
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::", "localhost") else server.host  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}/health"


async def _within(seconds: float, get: Get, well: Callable[[int | None], bool]) -> bool:
    """Knock until all is well; false if it is not in time."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                if well(await _up(get)):
                    return True
                await asyncio.sleep(KNOCK_SECONDS)
    except TimeoutError:
        return False


async def _up(get: Get) -> int | None:
    """How many backends the ingress takes to be up; nothing while it answers nothing, or knows of none at all."""
    try:
        page = await get()
    except (httpx.HTTPError, ValueError):
        return None
    backends = page.get("backends") if isinstance(page, dict) else None
    if not isinstance(backends, dict) or not backends.get("total"):
        return None
    return int(backends.get("up", 0))
