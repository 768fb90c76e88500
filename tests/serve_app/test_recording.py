"""What the audit has of requests, at the door and at the admin API."""

import json
from typing import Any

import msgspec
import pytest

from actors.core.audit.digest import arguments_digest
from actors.core.audit_settings import Arguments, AuditSettings, OnFailure
from actors.core.caller import Caller
from actors.core.client import Client
from actors.core.outcome import FailureKind
from actors.core.principal import Kind, Principal, Refusal, Verdict
from actors.core.request import Request
from actors.core.routing import Rejection
from serve_app.downstream.ws_door import WsDoor
from tests.support.admin_office import Office
from tests.support.asgi import ask
from tests.support.audit import KEY, WriterDouble, recording
from tests.support.channel_clients import WsWire
from tests.support.house import Plan, Replica, doorway, fail
from tests.support.oauth_office import OAuthOffice
from tests.support.posts import LegacyClient, ModernClient
from tests.support.vault import VaultBox

SECRET = "hunter2-0123456789abcdef"
ALICE = Principal("alice", "https://id.example", Kind.TOKEN, client="desktop", actor="robot", token_id="t-1")


async def verify(credential: str) -> Verdict:
    good = credential == "good"
    return Verdict(ALICE, None, 60.0) if good else Verdict(None, Refusal.UNKNOWN, 10.0)


class Scene:
    """A door, and what its audit has."""

    def __init__(self, **settings: Any) -> None:
        self.writer = WriterDouble()
        self.recorder, self.auditing = recording(self.writer, AuditSettings(**settings))
        self.plan = Plan(verify=verify, recorder=self.recorder)

    async def events(self) -> list[dict[str, Any]]:
        await self.auditing.drain()
        return [msgspec.json.decode(each) for each in self.writer.events]


def good(gateway: Any) -> ModernClient:
    return ModernClient(gateway, headers=[("authorization", "Bearer good")])


async def test_a_call_is_an_event_with_who_what_where_and_what_came_of_it() -> None:
    scene = Scene()
    async with doorway(Replica(), plan=scene.plan) as gateway:
        await good(gateway).call("git__echo", {"text": "a", "password": SECRET}, request_id="r-7")

    (made,) = await scene.events()
    duration = made.pop("duration_ms")
    assert duration >= 0
    assert made == {
        "time": "2026-07-28T12:00:00Z",
        "kind": "call",
        "by": {
            "credential": "token",
            "subject": "alice",
            "issuer": "https://id.example",
            "client": "desktop",
            "actor": "robot",
            "token": "t-1",
        },
        **({"ip": made["ip"]} if "ip" in made else {}),
        "request": '"r-7"',
        "method": "tools/call",
        "server": "git",
        "name": "git__echo",
        "decision": "allowed",
        "outcome": "ok",
        "arguments": arguments_digest(KEY, json.dumps({"password": SECRET, "text": "a"}).encode()),
    }


@pytest.mark.parametrize("arguments", list(Arguments))
async def test_no_secret_of_any_argument_or_header_is_in_any_event(arguments: Arguments) -> None:
    scene = Scene(arguments=arguments, redact=("ssn",))
    async with doorway(Replica(), plan=scene.plan) as gateway:
        await good(gateway).call("git__echo", {"password": SECRET, "deep": [{"ssn": SECRET}], "text": "kept"})
        await ModernClient(gateway, headers=[("authorization", f"Bearer {SECRET}")]).call("git__echo", {})
        await good(gateway).ask("resources/read", {"uri": f"https://u:{SECRET}@x/?token={SECRET}"})

    written = await scene.events()
    assert [each["kind"] for each in written] == ["call", "denial", "call"]
    assert SECRET not in json.dumps(written)
    assert ("kept" in json.dumps(written)) is (arguments is Arguments.REDACTED)


async def test_what_fails_says_how_and_what_does_not_exist_says_so() -> None:
    scene = Scene()
    async with doorway(Replica(behave=fail(FailureKind.TIMEOUT)), plan=scene.plan) as gateway:
        await good(gateway).call("git__echo")
        await good(gateway).call("git__nothing")
        await good(gateway).ask("no/such")

    failed, unknown, strange = await scene.events()
    assert (failed["outcome"], failed["server"], failed["decision"]) == ("timeout", "git", "allowed")
    assert (unknown["outcome"], unknown["name"], unknown["detail"]) == (
        "error",
        "git__nothing",
        "-32602 Unknown tool: git__nothing",
    )
    assert "decision" not in unknown
    assert (strange["method"], strange["outcome"]) == ("no/such", "error")


@pytest.mark.parametrize("lists", [True, False])
async def test_lists_are_events_if_that_is_wanted_and_pings_are_none(lists: bool) -> None:
    scene = Scene(lists=lists)
    async with doorway(Replica(), plan=scene.plan) as gateway:
        client = LegacyClient(gateway, headers=[("authorization", "Bearer good")])
        await client.initialize()
        await client.ask("ping")
        await client.ask("tools/list")

    written = await scene.events()
    opened, listed = ("session", "initialize"), ("list", "tools/list")
    assert [(each["kind"], each["method"]) for each in written] == ([opened, listed] if lists else [opened])
    assert all(len(each["session"]) == 32 for each in written)


async def test_whoever_is_turned_away_is_an_event_and_who_looks_for_what_is_not_there_is_none() -> None:
    scene = Scene()
    async with doorway(Replica(), plan=scene.plan) as gateway:
        await ask(gateway, "POST", "/mcp", [("host", "127.0.0.1:8080")], [b"{}"])
        await ask(gateway, "POST", "/mcp", [("host", "evil.example")], [b"{}"])
        await ask(gateway, "GET", "/nothing", [("host", "127.0.0.1:8080"), ("authorization", "Bearer good")], [])

    written = await scene.events()
    assert [(each["kind"], each["outcome"], each["decision"], each["name"]) for each in written] == [
        ("denial", "401", "denied", "/mcp"),
        ("denial", "403", "denied", "/mcp"),
    ]


async def test_what_a_rule_denied_names_the_rule() -> None:
    scene = Scene()
    request = Request(b"1", "tools/call", {}, {}, Client("2026-07-28", ALICE.key))
    scene.recorder.rejected(Caller(ALICE, "192.0.2.1"), request, Rejection(-32602, "Unknown tool: x", None, "viewer 2"))

    (made,) = await scene.events()
    assert (made["decision"], made["rule"], made["ip"]) == ("denied", "viewer 2", "192.0.2.1")


async def test_calls_and_lists_are_refused_while_the_audit_cannot_be_written_if_that_is_wanted() -> None:
    scene = Scene(on_failure=OnFailure.REFUSE)
    replica = Replica()
    async with doorway(replica, plan=scene.plan) as gateway:
        await good(gateway).call("git__echo")
        scene.writer.full = True
        await scene.auditing.send()

        called = await good(gateway).call("git__echo")
        listed = await good(gateway).ask("tools/list")
        opened = await LegacyClient(gateway, headers=[("authorization", "Bearer good")]).initialize()
        scene.writer.full = False
        await scene.auditing.send()
        again = await good(gateway).call("git__echo")

    for refused in (called, listed, opened):
        assert refused.json["error"]["data"] == {"reason": "audit_unavailable"}
    assert "result" in again.json
    assert len(replica.exchanges) == 2


async def test_calls_go_on_while_the_audit_cannot_be_written_if_that_is_wanted() -> None:
    scene = Scene(on_failure=OnFailure.CONTINUE, buffer=1)
    scene.writer.full = True
    async with doorway(Replica(), plan=scene.plan) as gateway:
        for _ in range(3):
            answered = await good(gateway).call("git__echo")
            await scene.auditing.send()
            assert "result" in answered.json
    scene.writer.full = False

    written = await scene.events()
    assert [(each["kind"], each.get("count")) for each in written] == [("call", None), ("loss", 2)]


async def test_what_is_done_by_the_admin_api_is_an_event_with_who_did_it() -> None:
    scene = Scene()
    office = Office(verify=None, recorder=scene.recorder)

    await office.ask("GET", "/servers")
    await office.ask("DELETE", "/servers/none")
    await office.ask("POST", "/reload", credential=None)

    written = await scene.events()
    assert [(each["kind"], each["method"], each["name"], each["outcome"], each["decision"]) for each in written] == [
        ("admin", "GET", "/api/v1/admin/servers", "200", "allowed"),
        ("admin", "DELETE", "/api/v1/admin/servers/none", "404", "allowed"),
        ("admin", "POST", "/api/v1/admin/reload", "401", "denied"),
    ]
    assert [each["by"]["subject"] for each in written] == ["owner", "owner", "anonymous"]


async def test_a_session_that_is_opened_is_an_event_with_who_and_where() -> None:
    scene = Scene()
    async with doorway(Replica(), plan=scene.plan) as gateway:
        for path in ("/mcp", "/servers/git/mcp"):
            await LegacyClient(gateway, path, headers=[("authorization", "Bearer good")]).initialize()

    whole, one = await scene.events()
    assert (whole["kind"], whole["outcome"], whole["by"]["subject"]) == ("session", "opened", "alice")
    assert ("server" in whole, one["server"]) == (False, "git")
    assert whole["session"] != one["session"]


async def test_a_websocket_whose_credential_is_found_to_be_revoked_is_a_denial() -> None:
    scene = Scene()
    async with doorway(Replica(), plan=scene.plan) as gateway:
        gateway.ingress._ws = WsDoor(gateway.assembly.channels, check_seconds=0.01)
        wire: Any = WsWire(gateway, headers=[("authorization", "Bearer good")])
        await wire.open()
        wire.scope["headers"][:] = [(b"host", b"127.0.0.1:8080"), (b"authorization", b"Bearer revoked")]
        await wire.ended()

    (denied,) = await scene.events()
    assert wire.code == 4401
    assert (denied["kind"], denied["decision"], denied["outcome"]) == ("denial", "denied", "401")
    assert (denied["name"], denied["method"]) == ("/ws", "WEBSOCKET")


async def test_who_logs_in_and_who_cannot_are_remembered_without_what_they_sent() -> None:
    scene = Scene()
    office = OAuthOffice(VaultBox(None), recorder=scene.recorder)

    await office.log_in()
    await office.log_in(subject_token="bad:secret-token")

    written = await scene.events()
    assert [(each["kind"], each["decision"], each["outcome"], each["ip"]) for each in written] == [
        ("login", "allowed", "200", "192.0.2.1"),
        ("login", "denied", "400", "192.0.2.1"),
    ]
    assert (written[0]["by"]["subject"], written[0]["detail"]) == ("corp:ada", "corp")
    assert "secret-token" not in str(written)


async def test_nothing_is_administered_while_the_audit_cannot_be_written_if_that_is_wanted() -> None:
    scene = Scene(on_failure=OnFailure.REFUSE)
    office = Office(recorder=scene.recorder)
    await office.ask("GET", "/servers")
    scene.writer.full = True
    await scene.auditing.send()

    refused = await office.ask("POST", "/reload")

    assert refused.status == 503


async def test_a_step_towards_a_users_consent_is_an_event_without_what_was_given() -> None:
    scene = Scene()
    caller = Caller(ALICE, "10.0.0.9")
    scene.recorder.connected(caller, "begin", "git", "", success=True)
    scene.recorder.connected(caller, "finish", "git", f"refused ?code={SECRET}", success=False)

    begun, refused = await scene.events()

    assert (begun["kind"], begun["method"], begun["server"], begun["by"]["subject"]) == (
        "consent",
        "begin",
        "git",
        "alice",
    )
    assert (begun["decision"], begun["outcome"], begun["ip"]) == ("allowed", "ok", "10.0.0.9")
    assert (refused["decision"], refused["outcome"]) == ("denied", "error")
    assert SECRET not in json.dumps(refused)
