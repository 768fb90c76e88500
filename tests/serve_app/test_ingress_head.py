"""What the ingress makes of heads of requests, and what every one of its answers has."""

import asyncio
from typing import Any

import pytest

from actors.core.nesting import MAX_DEPTH
from actors.core.request_head import MAX_FIELD_BYTES, MAX_FIELDS, MAX_TARGET_BYTES
from actors.core.settings import ServerSettings
from actors.core.tls_settings import TlsSettings
from serve_app.ingress import Ingress
from tests.support.asgi import ask
from tests.support.house import Plan, Replica, doorway, keep
from tests.support.posts import MODERN, ModernClient

PAGE = "https://app.example.com"
FOR_PAGES = Plan(server=ServerSettings(allowed_origins=(PAGE,)))
PREFLIGHT = [("origin", PAGE), ("access-control-request-method", "POST")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("x", "a" * MAX_FIELD_BYTES)], 431),
        ([("x", "")] * (MAX_FIELDS + 1), 431),
        ([("content-encoding", "gzip")], 415),
        ([("mcp-session-id", "1"), ("mcp-session-id", "1")], 400),
        ([("mcp-protocol-version", MODERN)] * 2, 400),
        ([("authorization", "Bearer a"), ("authorization", "Bearer b")], 400),
        ([("content-length", "2"), ("content-length", "2")], 400),
        ([("content-length", "2"), ("transfer-encoding", "chunked")], 400),
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/servers/git/mcp", "/api/v1/admin/servers", "/metrics"])
async def test_a_head_that_readers_could_differ_on_goes_nowhere(path: str, headers: Any, status: int) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ask(gateway, "POST", path, headers, [b"{}"])

    assert answered.status == status
    assert answered.json["error"]["code"] == -32600


async def test_a_url_has_a_limit() -> None:
    async with doorway(Replica()) as gateway:
        within = await ask(gateway, "GET", "/health?" + "a" * (MAX_TARGET_BYTES - len("/health")))
        beyond = await ask(gateway, "GET", "/health?" + "a" * MAX_TARGET_BYTES)

    assert (within.status, beyond.status) == (200, 414)


async def test_a_body_that_is_nested_too_deeply_reaches_no_server() -> None:
    replica = Replica()
    async with doorway(replica) as gateway:
        deep: Any = "x"
        for _ in range(MAX_DEPTH):
            deep = [deep]
        answered = await ModernClient(gateway).call("git__echo", {"a": deep})

    assert (answered.status, answered.json["error"]["code"]) == (400, -32700)
    assert replica.exchanges == []


@pytest.mark.parametrize("path", ["/health", "/mcp", "/nothing", "/api/v1/admin/servers"])
async def test_every_answer_is_sealed_against_browsers_and_caches(path: str) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ask(gateway, "GET", path)

    assert answered.header("x-content-type-options") == "nosniff"
    assert answered.header("referrer-policy") == "no-referrer"
    assert answered.header("content-security-policy") == "frame-ancestors 'none'"
    assert answered.header("cache-control") == "no-store"
    assert answered.header("strict-transport-security") is None
    assert answered.header("server") is None


async def test_a_stream_keeps_what_it_says_of_caches() -> None:
    async with doorway(Replica()) as gateway:
        client = ModernClient(gateway)
        listening = client.start("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        await listening.until(lambda seen: bool(seen.sent))
        names = [name for name, _ in listening.headers]
        await listening.leave()

    assert names.count("cache-control") == 1
    assert listening.header("cache-control") == "no-cache, no-transform"


async def test_who_came_encrypted_shall_stay_so() -> None:
    tls = TlsSettings(certificate="c.pem", key="k.pem")
    async with doorway(Replica(), plan=Plan(server=ServerSettings(tls=tls))) as gateway:
        answered = await ask(gateway, "GET", "/health")

    assert answered.header("strict-transport-security") == "max-age=31536000"


@pytest.mark.parametrize("path", ["/mcp", "/servers/git/mcp", "/servers/none/mcp", "/sse", "/.well-known/x"])
async def test_a_page_that_is_listed_may_ask_whether_it_may_come_and_needs_no_credential_for_that(path: str) -> None:
    async with doorway(Replica(), plan=FOR_PAGES) as gateway:
        answered = await ask(gateway, "OPTIONS", path, PREFLIGHT)

    assert answered.status == 200
    assert answered.header("access-control-allow-origin") == PAGE
    assert answered.header("access-control-allow-headers") == "*, Authorization"
    assert answered.header("access-control-allow-credentials") is None
    assert answered.header("vary") == "Origin"


@pytest.mark.parametrize("path", ["/api/v1/admin/servers", "/metrics", "/health"])
async def test_pages_are_told_nothing_about_what_is_not_for_them(path: str) -> None:
    async with doorway(Replica(), plan=FOR_PAGES) as gateway:
        asked = await ask(gateway, "OPTIONS", path, PREFLIGHT)
        got = await ask(gateway, "GET", path, [("origin", PAGE)])

    assert asked.header("access-control-allow-methods") is None
    assert got.header("access-control-allow-origin") is None


async def test_a_page_that_is_not_listed_is_refused_and_told_nothing() -> None:
    async with doorway(Replica(), plan=FOR_PAGES) as gateway:
        other = ("origin", "https://evil.example.com")
        asked = await ask(gateway, "OPTIONS", "/mcp", [other, PREFLIGHT[1]])

    assert asked.status == 403
    assert asked.header("access-control-allow-origin") is None


async def test_a_page_can_read_what_it_needs_of_an_answer_and_others_are_not_bothered() -> None:
    async with doorway(Replica(), plan=FOR_PAGES) as gateway:
        page = await ModernClient(gateway).call("git__echo", headers={"origin": PAGE})
        other = await ModernClient(gateway).call("git__echo")

    assert page.status == 200
    assert page.header("access-control-allow-origin") == PAGE
    assert "Mcp-Session-Id" in (page.header("access-control-expose-headers") or "")
    assert other.header("access-control-allow-origin") is None


async def test_a_client_that_does_not_read_is_given_up() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        gateway.ingress._write_seconds = 0.05
        unread = asyncio.Event()

        async def send(_message: object) -> None:
            await unread.wait()

        answering = asyncio.create_task(_health(gateway.ingress, send))
        async with asyncio.timeout(10):
            await answering

    assert not unread.is_set()


async def _health(ingress: Ingress, send: Any) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/health",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await ingress(scope, receive, send)
