"""The admin API in front of a real Router."""

import json
from typing import Any

import pytest

from actors.core.breaker import State
from actors.core.load import Load
from actors.core.membership import ReplicaKey
from actors.core.settings import NAME_SENTENCE
from serve_app.admin.merge import merged
from serve_app.authentication import Authentication
from serve_app.ingress import Ingress
from serve_app.peer import peer_of
from serve_app.reception import Reception
from tests.support.admin_office import TOKEN, Office, verify
from tests.support.asgi import ask
from tests.support.house import Replica, house

WEB = {"url": "https://web.example/mcp?key=s3cr3t", "headers": {"X-Key": "s3cr3t"}}
EVERYTHING = [
    ("GET", "/servers"),
    ("POST", "/servers"),
    ("GET", "/servers/git"),
    ("PATCH", "/servers/git"),
    ("DELETE", "/servers/git"),
    ("POST", "/servers/git/replicas/0/trip"),
    ("POST", "/servers/git/replicas/0/reset"),
    ("POST", "/reload"),
    ("GET", "/nothing"),
]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
@pytest.mark.parametrize("with_auth", [False, True])
async def test_nobody_gets_anything_without_a_credential_that_may(method: str, path: str, with_auth: bool) -> None:
    office = Office(verify=verify if with_auth else None)

    without = await office.ask(method, path, {"name": "web", **WEB}, None)
    wrong = await office.ask(method, path, {"name": "web", **WEB}, "x" + TOKEN)

    assert (without.status, wrong.status) == (401, 401)
    assert (without.header("www-authenticate") or "").startswith("Bearer")
    assert set(without.json) == {"error"}
    assert list(office.router_names()) == ["git"]


@pytest.mark.parametrize(("method", "path"), EVERYTHING[:-1])
async def test_somebody_without_the_scope_is_told_which_it_is(method: str, path: str) -> None:
    office = Office(verify=verify)

    refused = await office.ask(method, path, {"name": "web", **WEB}, "user")

    assert refused.status == 403
    assert "only1mcp:admin" in refused.json["error"]
    assert 'error="insufficient_scope"' in (refused.header("www-authenticate") or "")
    assert list(office.router_names()) == ["git"]


@pytest.mark.parametrize("credential", [TOKEN, "admin"])
async def test_the_token_of_the_owner_and_the_scope_each_are_enough(credential: str) -> None:
    listed = await Office(verify=verify).ask("GET", "/servers", credential=credential)

    assert listed.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Basic {TOKEN}")],
        [("authorization", TOKEN)],
        [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")],
        [("x-api-key", TOKEN)],
        [("cookie", f"token={TOKEN}")],
    ],
)
async def test_the_token_counts_only_as_the_one_bearer_credential(headers: list[tuple[str, str]]) -> None:
    answered = await ask(Office(), "GET", "/api/v1/admin/servers", headers)

    assert answered.status == 401


async def test_a_server_is_listed_with_all_that_is_known_of_its_replicas() -> None:
    office = Office()
    await office.comes_up("git", "status", "log")
    await office.router.beat(ReplicaKey("git", 0), "e1", 1, Load(3, State.HALF_OPEN, 0.0, 1))

    listed = await office.ask("GET", "/servers")

    assert listed.header("cache-control") == "no-store"
    assert listed.json == {
        "servers": [
            {
                "name": "git",
                "origin": "file",
                "state": "up",
                "tools": 2,
                "wanted_replicas": 1,
                "findings": [],
                "replicas": [
                    {
                        "index": 0,
                        "state": "up",
                        "detail": "",
                        "breaker": "half_open",
                        "in_flight": 3,
                        "waiting": 1,
                        "restarts": 2,
                        "node": "node-1",
                        "zone": "",
                        "weight": 1.0,
                        "revision": "2025-11-25",
                    }
                ],
            }
        ]
    }


async def test_a_server_is_added_shown_changed_and_removed() -> None:
    office = Office()

    added = await office.ask("POST", "/servers", {"name": "web", **WEB, "timeout": 5})
    changed = await office.ask("PATCH", "/servers/web", {"timeout": None, "headers": {"X-More": "m"}, "replicas": 2})
    settings = office.settings("web")
    removed = await office.ask("DELETE", "/servers/web")
    gone = await office.ask("GET", "/servers/web")

    assert (added.status, added.header("location")) == (201, "/api/v1/admin/servers/web")
    assert (added.json["origin"], added.json["state"]) == ("added", "starting")
    assert (changed.status, changed.json["wanted_replicas"]) == (200, 2)
    assert (settings.timeout, settings.endpoint.headers) == (60.0, {"X-Key": "s3cr3t", "X-More": "m"})
    assert (removed.status, removed.body, gone.status) == (204, b"", 404)


async def test_no_answer_repeats_what_may_be_a_secret() -> None:
    office = Office(environ={"KEY": "s3cr3t"})
    entry = {**WEB, "url": "https://web.example/mcp?key=${KEY}"}

    answers = [
        await office.ask("POST", "/servers", {"name": "web", **entry}),
        await office.ask("POST", "/servers", {"name": "stdio", "command": "/bin/sh", "args": ["s3cr3t"]}),
        await office.ask("POST", "/servers", {"name": "pool", "urls": [{"url": "http://a/?key=s3cr3t"}, "http://b/"]}),
        await office.ask("POST", "/servers", {"name": "bad", "url": "https://u:s3cr3t@x", "timeout": "s3cr3t"}),
        await office.ask("GET", "/servers"),
        await office.ask("GET", "/servers/web"),
    ]

    assert [answer.status for answer in answers] == [201, 201, 201, 422, 200, 200]
    assert not [answer.body for answer in answers if b"s3cr3t" in answer.body]
    assert {each["name"]: each.get("reached") for each in answers[4].json["servers"]} == {
        "git": None,
        "pool": "http://a/",
        "stdio": "/bin/sh",
        "web": "https://web.example/mcp",
    }


async def test_what_is_kept_of_an_entry_has_the_names_of_variables_and_not_their_values() -> None:
    office = Office(environ={"KEY": "s3cr3t"})

    await office.ask("POST", "/servers", {"name": "web", "url": "https://x/mcp", "headers": {"X": "${KEY}"}})

    (web,) = [each for each in await office.router.servers() if each.name == "web"]
    assert json.loads(web.source) == {"url": "https://x/mcp", "headers": {"X": "${KEY}"}}
    assert office.settings("web").endpoint.headers == {"X": "s3cr3t"}


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"name": "web", "url": "https://x", "timeout": 0}, ["timeout: must be more than 0 and at most 86400 seconds"]),
        ({"name": "web", "headers": {}}, ["needs a command or a url"]),
        ({"name": "web", "url": "${NOWHERE}"}, ["url: the variable NOWHERE is not set"]),
        ({"name": "web", "command": "no-such-program"}, ["command: command 'no-such-program' is not on PATH"]),
        (
            {"name": "a__b", "url": "https://x"},
            [NAME_SENTENCE],
        ),
        (b"", ["line 1, column 1: Expecting value"]),
        (b"[]", ["must be a JSON object"]),
        (b"\xff", ["is not UTF-8 text"]),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, ["is nested too deeply"]),
        (b'{"name": "a", "name": "b"}', ['has the key "name" twice in one object']),
    ],
)
async def test_an_entry_that_cannot_be_used_is_refused_with_its_problems(body: Any, problems: list[str]) -> None:
    office = Office()

    refused = await office.ask("POST", "/servers", body)

    assert (refused.status, refused.json["problems"]) == (422, problems)
    assert list(office.router_names()) == ["git"]


async def test_without_a_name_nothing_is_added() -> None:
    refused = await Office().ask("POST", "/servers", WEB)

    assert (refused.status, "name" in refused.json["error"]) == (422, True)


@pytest.mark.parametrize("name", ["git", "GIT"])
async def test_a_name_that_is_taken_is_refused_whatever_its_case(name: str) -> None:
    refused = await Office().ask("POST", "/servers", {"name": name, **WEB})

    assert (refused.status, refused.json) == (409, {"error": "there is a server 'git' already"})


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_server_of_the_file_is_changed_and_removed_there(method: str) -> None:
    office = Office()

    refused = await office.ask(method, "/servers/git", {"timeout": 1})
    unknown = await office.ask(method, "/servers/none", {"timeout": 1})

    assert (refused.status, unknown.status) == (409, 404)
    assert "is in the configuration file" in refused.json["error"]
    assert list(office.router_names()) == ["git"]


async def test_a_breaker_is_tripped_and_reset_by_hand() -> None:
    office = Office()
    await office.comes_up("git")

    tripped = await office.ask("POST", "/servers/git/replicas/0/trip")
    reset = await office.ask("POST", "/servers/git/replicas/0/reset")
    nobody = [await office.ask("POST", f"/servers/{path}/trip") for path in ("git/replicas/7", "none/replicas/0")]

    assert (tripped.status, reset.status, [each.status for each in nobody]) == (204, 204, [404, 404])
    assert office.breakers.done == ["trip git:0", "reset git:0"]


async def test_the_definitions_of_a_pinned_server_are_accepted_by_its_owner() -> None:
    office = Office()
    await office.ask("POST", "/servers", {"name": "web", **WEB, "pin": True})
    await office.comes_up("web", "a")
    await office.comes_up("web", "a", "b")

    before = await office.ask("GET", "/servers/web")
    answers = [await office.ask("POST", f"/servers/{name}/accept") for name in ("web", "git", "none")]
    after = await office.ask("GET", "/servers/web")

    assert (before.json["tools"], after.json["tools"]) == (1, 2)
    assert before.json["findings"] == [{"kind": "tools", "name": "b", "what": "new", "held": True}]
    assert ([answer.status for answer in answers], after.json["findings"]) == ([204, 409, 404], [])


async def test_a_reload_is_asked_of_the_one_who_reads_the_file() -> None:
    office = Office()
    before = (await office.router.orders("", 0)).reload_asked

    asked = await office.ask("POST", "/reload")

    assert asked.status == 202
    assert (await office.router.orders("", 0)).reload_asked == before + 1


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/servers", "GET, POST"),
        ("POST", "/servers/git", "GET, PATCH, DELETE"),
        ("GET", "/reload", "POST"),
        ("GET", "/servers/git/replicas/0/trip", "POST"),
    ],
)
async def test_other_methods_are_refused_with_those_there_are(method: str, path: str, allowed: str) -> None:
    refused = await Office().ask(method, path)

    assert (refused.status, refused.header("allow")) == (405, allowed)


async def test_while_the_router_restarts_one_is_told_to_come_again() -> None:
    office = Office()
    office.away = True

    answers = [await office.ask("GET", "/servers"), await office.ask("POST", "/servers", {"name": "web", **WEB})]

    assert [(answer.status, answer.header("retry-after")) for answer in answers] == [(503, "2")] * 2


async def test_at_the_ingress_the_guard_comes_first_and_the_admin_api_has_its_own_credential() -> None:
    office = Office()
    async with house(Replica()) as built:
        door = built.doorway()
        ingress = Ingress(
            built.plan.server,
            door.outlook,
            Reception(Authentication(verify), door.outlook, peer_of),
            door.assembly,
            lambda: built.metrics,  # type: ignore[arg-type, return-value]
            admin=office.api,
        )
        token = ("authorization", f"Bearer {TOKEN}")

        listed = await ask(ingress, "GET", "/api/v1/admin/servers", [token])
        evil = await ask(ingress, "GET", "/api/v1/admin/servers", [token, ("host", "evil.example")])
        elsewhere = await ask(ingress, "POST", "/mcp", [token], [b"{}"])
        too_large = await ask(ingress, "POST", "/api/v1/admin/servers", [token, ("content-length", "99999999")])

    assert (listed.status, evil.status, elsewhere.status, too_large.status) == (200, 403, 401, 413)


def test_a_patch_merges_mappings_replaces_the_rest_and_null_removes() -> None:
    entry = {"a": 1, "b": {"x": 1, "y": 2}, "c": [1, 2], "d": 4}

    patched = merged(entry, {"b": {"x": None, "z": 3}, "c": [9], "d": None, "e": {"f": {"g": 1, "h": None}}})

    assert patched == {"a": 1, "b": {"y": 2, "z": 3}, "c": [9], "e": {"f": {"g": 1}}}
    assert entry == {"a": 1, "b": {"x": 1, "y": 2}, "c": [1, 2], "d": 4}
