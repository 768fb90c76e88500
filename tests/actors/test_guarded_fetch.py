"""Nobody outside can have the gateway fetch what only the gateway can reach."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from actors.core.url_guard import UrlGuard
from actors.credentials.fetching import MAX_BYTES, Fetched, FetchError, GuardedFetch
from tests.support.http_servers import serving

OUTSIDE = UrlGuard(["https://mcp.example/mcp"])


class Names(AbstractResolver):
    """Gives one address after the other, whatever the name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"])
async def test_a_public_name_of_an_inner_address_is_not_connected_to(address: str) -> None:
    fetch = GuardedFetch(OUTSIDE, Names(address))

    with pytest.raises(FetchError, match="an address that is not public"):
        await fetch("https://auth.example/token", {"client_secret": "s"})


async def test_a_name_that_changes_its_mind_between_check_and_connection_gains_nothing() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text="inner")

    async with serving(answer) as url:
        port = url.split(":")[2].removesuffix("/mcp")
        names = Names("127.0.0.1")
        with pytest.raises(FetchError, match="an address that is not public"):
            await GuardedFetch(OUTSIDE, names)(f"https://auth.example:{port}/")

    assert names.asked == 1


@pytest.mark.parametrize("url", ["http://2130706433/", "https://0x7f000001/", "https://127.1/", "https://0/"])
async def test_an_inner_address_in_disguise_is_not_connected_to(url: str) -> None:
    with pytest.raises(FetchError):
        await GuardedFetch(OUTSIDE)(url)


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with serving(answer) as url:
        with pytest.raises(FetchError, match="redirects"):
            await GuardedFetch(UrlGuard([url]))(url)

    assert asked == ["/mcp"]


async def test_what_the_configuration_names_is_fetched_wherever_it_is() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=418, text=f"{request.method} {(await request.text())} {len(request.cookies)}")

    async with serving(answer) as url:
        fetch = GuardedFetch(UrlGuard([url]))

        assert await fetch(url) == Fetched(418, b"GET  0")
        assert await fetch(url, {"a": "b c"}) == Fetched(418, b"POST a=b+c 0")


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_has_a_size_at_which_it_is_given_up(compressed: bool) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        response = web.Response(body=b"x" * (MAX_BYTES + 1))
        if compressed:
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(answer) as url:
        fetch = GuardedFetch(UrlGuard([url]))
        if compressed:
            assert len((await fetch(url)).body) <= MAX_BYTES  # what arrives counts, and nothing is unpacked
        else:
            with pytest.raises(FetchError, match="more than"):
                await fetch(url)


async def test_an_answer_has_a_time_at_which_it_is_given_up() -> None:
    async def answer(request: web.Request) -> Any:
        await asyncio.Event().wait()

    async with serving(answer) as url:
        with pytest.raises(FetchError, match=r"no answer within 0\.05 s"):
            await GuardedFetch(UrlGuard([url]), seconds=0.05)(url)


async def test_what_cannot_be_reached_is_said_without_the_url() -> None:
    url = "http://127.0.0.1:1/?key=secret"

    with pytest.raises(FetchError) as raised:
        await GuardedFetch(UrlGuard([url]))(url)

    assert str(raised.value) == "it cannot be reached"
