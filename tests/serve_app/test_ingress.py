"""What every request meets before any MCP method: guard, health, credentials, paths, limits, and the right era."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.core.principal import Kind, Principal, Refusal, Verdict
from actors.core.settings import ServerSettings
from tests.support.asgi import ask, start
from tests.support.bus import until
from tests.support.house import Plan, Replica, doorway, house, keep
from tests.support.posts import MODERN, LegacyClient, ModernClient, modern_meta

LOOPBACK = "127.0.0.1:8080"
OPEN = Plan(server=ServerSettings(host="0.0.0.0"))


class ScriptedAuth:
    """Knows the key `good`; can be away."""

    def __init__(self) -> None:
        self.away = False

    async def verify(self, credential: str) -> Verdict:
        if self.away:
            raise ConnectionError
        if credential == "good":
            return Verdict(Principal("alice", "", Kind.KEY), None, 60.0)
        return Verdict(None, Refusal.UNKNOWN, 10.0)


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "evil.example.com")],
        [("host", "")],
        [("host", LOOPBACK), ("origin", "https://evil.example.com")],
        [("host", LOOPBACK), ("origin", "null")],
        [("host", LOOPBACK), ("host", LOOPBACK)],
        [("host", "evil.example.com"), ("host", LOOPBACK)],
        [("host", LOOPBACK), ("origin", "http://localhost:8080"), ("origin", "http://localhost:8080")],
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/health", "/metrics", "/none"])
async def test_other_hosts_and_origins_and_repeated_ones_are_refused(path: str, headers: Any) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ask(gateway, "POST", path, headers, [b"{}"])

    assert answered.status == 403
    assert answered.json["error"]["code"] == -32600


async def test_a_repeated_host_is_refused_even_where_any_host_may_pass() -> None:
    async with doorway(Replica(), plan=OPEN) as gateway:
        one = await ask(gateway, "GET", "/health", [("host", "a.example.com")])
        two = await ask(gateway, "GET", "/health", [("host", "a.example.com"), ("host", "a.example.com")])

    assert (one.status, two.status) == (200, 403)


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]"])
async def test_pages_of_this_machine_may_come_in(origin: str) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).call("git__echo", headers={"origin": origin})

    assert answered.status == 200


@pytest.mark.parametrize(
    ("method", "revision", "allowed"),
    [
        ("PUT", "2025-11-25", "POST, GET, DELETE"),
        ("OPTIONS", "2025-11-25", "POST, GET, DELETE"),
        ("HEAD", "2025-11-25", "POST, GET, DELETE"),
        ("GET", MODERN, "POST"),
        ("DELETE", MODERN, "POST"),
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/servers/git/mcp"])
async def test_endpoints_take_nothing_but_what_the_revision_has(
    path: str, method: str, revision: str, allowed: str
) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ask(gateway, method, path, [("mcp-protocol-version", revision)])

    assert (answered.status, answered.header("allow")) == (405, allowed)
    assert "error" in answered.json


@pytest.mark.parametrize(
    "path",
    ["/", "/mcp/x", "/mcpx", "/servers/none/mcp", "/servers/git", "/servers//mcp", "/servers/a/b/mcp", "/healthz"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_elsewhere_there_is_nothing_and_that_is_said_in_json_rpc(path: str, method: str) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ask(gateway, method, path, (), [b"{}"])

    assert answered.status == 404
    assert answered.json["jsonrpc"] == "2.0"
    assert answered.json["error"]["code"] == -32600


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/servers/git/mcp", "/servers/git/mcp/"])
async def test_a_slash_at_the_end_makes_no_difference(path: str) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway, path).ask("tools/list")

    assert answered.status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff{}", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"a"}x', -32700),
        (b"[" * 100_000, -32700),
        (b"5", -32600),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":5}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
    ],
)
@pytest.mark.parametrize("revision", [MODERN, "2025-11-25", None])
async def test_a_body_that_is_no_request_is_refused_in_every_era(body: bytes, code: int, revision: str | None) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).start_raw(body, {"mcp-protocol-version": revision}).answered()

    assert (answered.status, answered.json["error"]["code"], answered.json["id"]) == (400, code, None)


async def test_a_body_in_parts_is_read_whole() -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": modern_meta()}}).encode()
    headers = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/list")]
    async with doorway(Replica()) as gateway:
        answered = await ask(gateway, "POST", "/mcp", headers, [body[:7], b"", body[7:30], body[30:]])

    assert answered.json["result"]["tools"]


async def test_a_body_over_the_limit_is_refused_announced_or_not() -> None:
    plan = Plan(server=ServerSettings(max_body_bytes=1024))
    async with doorway(Replica(), plan=plan) as gateway:
        announced = await ask(gateway, "POST", "/mcp", [("content-length", "1025")], [b"{}"])
        streamed = await ask(gateway, "POST", "/mcp", (), [b" " * 600, b" " * 600])
        fitting = await ModernClient(gateway).start_raw(b" " * 1024, {}).answered()

    assert (announced.status, streamed.status, fitting.status) == (413, 413, 400)
    assert "error" in announced.json


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async with doorway(Replica(), plan=Plan(body_seconds=0.02)) as gateway:
        answered = await ask(gateway, "POST", "/mcp", (), [])

    assert answered.status == 408
    assert "error" in answered.json


async def test_a_client_that_leaves_before_its_body_is_whole_gets_nothing() -> None:
    async with doorway(Replica()) as gateway:
        conversation = start(gateway, "POST", "/mcp", (), [])
        conversation.hang_up()
        answered = await conversation.answered()

    assert answered.sent == []


async def test_the_era_is_that_of_the_header_and_of_the_body_only_without_one() -> None:
    async with doorway(Replica()) as gateway:
        modern = ModernClient(gateway)
        unmarked = await modern.call("git__echo", headers={"mcp-protocol-version": None})
        marked_legacy = await modern.call("git__echo", headers={"mcp-protocol-version": "2025-11-25"})
        initialize = await LegacyClient(gateway).initialize()
        modern_initialize = await modern.ask("initialize")

    assert unmarked.json["error"]["code"] == -32020
    assert (marked_legacy.status, marked_legacy.json["error"]["code"]) == (400, -32600)
    assert (initialize.status, modern_initialize.status) == (200, 404)


@pytest.mark.parametrize("path", ["/mcp", "/servers/none/mcp", "/metrics", "/none"])
async def test_without_a_credential_nothing_but_health_is_answered(path: str) -> None:
    async with doorway(Replica(), plan=Plan(verify=ScriptedAuth().verify)) as gateway:
        missing = await ask(gateway, "POST", path, (), [b"{}"])
        wrong = await ask(gateway, "POST", path, [("authorization", "Bearer bad")], [b"{}"])
        health = await ask(gateway, "GET", "/health")

    assert (missing.status, wrong.status, health.status) == (401, 401, 200)
    assert (missing.header("www-authenticate") or "").startswith("Bearer")
    assert 'error="invalid_token"' in (wrong.header("www-authenticate") or "")
    assert "error" in missing.json


async def test_while_auth_is_away_known_credentials_go_on_and_others_are_told_to_come_again() -> None:
    auth = ScriptedAuth()
    async with house(Replica(), plan=Plan(verify=auth.verify)) as gateways:
        gateway = gateways.doorway()
        known = ModernClient(gateway, headers=[("authorization", "Bearer good")])
        before = await known.call("git__echo")

        auth.away = True
        during = await known.call("git__echo")
        stranger = await ModernClient(gateway, headers=[("authorization", "Bearer other")]).call("git__echo")
        gateways.clock.advance(61)
        after = await known.call("git__echo")

    assert (before.status, during.status, stranger.status, after.status) == (200, 200, 503, 503)
    assert stranger.header("retry-after") == "1"


async def test_metrics_are_shown_and_their_absence_is_said() -> None:
    async with house(Replica()) as gateways:
        gateway = gateways.doorway()
        there = await ask(gateway, "GET", "/metrics")
        gateways.metrics.away = True
        away = await ask(gateway, "GET", "/metrics")

    assert (there.status, there.body) == (200, b"only1mcp_up 1\n")
    assert (there.header("content-type") or "").startswith("text/plain")
    assert (away.status, away.header("retry-after")) == (503, "2")


async def test_an_error_of_our_own_is_answered_and_says_nothing_of_itself() -> None:
    async def broken(_credential: str) -> Verdict:
        return "no verdict at all"  # type: ignore[return-value]

    async with doorway(Replica(), plan=Plan(verify=broken)) as gateway:
        answered = await ask(gateway, "POST", "/mcp", [("x-api-key", "s3cret")], [b"{}"])

    assert answered.status == 500
    assert "error" in answered.json
    assert b"s3cret" not in answered.body
    assert b"verdict" not in answered.body


async def test_every_response_is_counted_by_its_class() -> None:
    async with doorway(Replica()) as gateway:
        await ask(gateway, "GET", "/health")
        await ask(gateway, "GET", "/mcp")
        await ask(gateway, "GET", "/none")
        await ModernClient(gateway).call("git__echo")

    assert gateway.tallying.tally.responses == {"2xx": 2, "4xx": 2}


async def test_an_endpoint_of_a_server_that_was_never_up_says_so_instead_of_having_nothing() -> None:
    plan = Plan(facts={"down": None})
    async with doorway(Replica(), Replica("down", up=False), plan=plan) as gateway:
        modern, legacy = ModernClient(gateway, "/servers/down/mcp"), LegacyClient(gateway, "/servers/down/mcp")
        answers = [
            await modern.ask("server/discover"),
            await modern.ask("tools/list"),
            await legacy.initialize(),
            await modern.call("echo"),
        ]
        aggregate = await ModernClient(gateway).ask("tools/list")

    assert [each.json["error"]["data"] for each in answers] == [{"reason": "unavailable", "backend": "down"}] * 4
    assert legacy.session is None
    assert [tool["name"] for tool in aggregate.json["result"]["tools"]] == ["git__echo"]


async def test_names_at_the_endpoint_of_one_server_are_its_own() -> None:
    git, alpha = Replica("git", behave=keep), Replica("alpha")
    async with doorway(git, alpha) as gateway:
        conversation = ModernClient(gateway, "/servers/git/mcp").start("tools/call", {"name": "unlisted"})
        await until(lambda: bool(git.running))
        await conversation.leave()

    assert git.exchanges[0].call.name == "unlisted"
    assert alpha.exchanges == []


PATHS = st.sampled_from(["/mcp", "/servers/git/mcp", "/servers/x/mcp", "/health", "/metrics", "/"]) | st.text(
    max_size=9
)
NAMES = st.sampled_from(
    ["host", "origin", "accept", "mcp-protocol-version", "mcp-method", "mcp-session-id", "x-api-key"]
)
TEXTS = st.sampled_from([LOOPBACK, MODERN, "2025-11-25", "tools/call"]) | st.text(
    st.characters(max_codepoint=255), max_size=9
)


@settings(deadline=None, max_examples=150)
@given(
    method=st.sampled_from(["POST", "GET", "DELETE", "FOO"]),
    path=PATHS,
    headers=st.lists(st.tuples(NAMES, TEXTS), max_size=5),
    body=st.binary(max_size=40) | st.sampled_from([b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', b"{}"]),
)
async def test_whatever_is_sent_is_answered_once_and_every_refusal_is_json_rpc(
    method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    async with doorway(Replica("a")) as gateway:
        answered = await ask(gateway, method, path, headers, [body])

    assert answered.whole
    assert answered.status < 500 or path.startswith("/health")
    if answered.status >= 400 and not path.startswith("/health"):
        assert answered.json["jsonrpc"] == "2.0"
        assert isinstance(answered.json["error"]["code"], int)
