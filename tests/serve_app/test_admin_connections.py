"""Users connect themselves, and the operator the gateway, over the admin API."""

import json
from typing import Any

import msgspec
import pytest

from actors.core.permission_settings import PermissionSettings
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import ANONYMOUS, Verdict
from actors.core.tokens.issued import Declined, No
from tests.support.admin_office import PRINCIPALS, Office, judge_of, verify
from tests.support.asgi import Conversation
from tests.support.connect_office import AS, ConnectOffice, connection_routes

BACK = "http://127.0.0.1:5000/callback"
BOB = PRINCIPALS["user"].key
FINISH = {"state": "state-1", "code": "c", "iss": AS}


async def verify_roles(credential: str) -> Verdict:
    """Who administrates has the role that the policy knows."""
    verdict = await verify(credential)
    assert verdict.principal is not None
    roles = ("git",) if credential == "admin" else ()
    return Verdict(msgspec.structs.replace(verdict.principal, roles=roles), None, 60.0)


class Desk:
    """The API in front of a scripted server."""

    def __init__(self, *, guarded: bool = True, policy: PolicySettings | None = None, replicas: int = 1) -> None:
        self.connect = ConnectOffice(replicas=replicas)
        known = (verify if policy is None else verify_roles) if guarded else None
        routes = connection_routes(self.connect, known, policy)
        self.api = Office(verify=known, more=routes, judge=judge_of(policy))

    async def ask(self, verb: str, path: str, body: Any = None, who: str = "user") -> Conversation:
        return await self.api.ask(verb, f"/connections{path}", body, who)


async def test_a_user_connects_themselves_and_nobody_else() -> None:
    desk = Desk()

    before = await desk.ask("GET", "")
    begun = await desk.ask("POST", "/git", {"redirect_uri": BACK})
    finished = await desk.ask("PUT", "/git", FINISH)

    assert before.json == {"connections": [{"server": "git", "connected": False}]}
    assert begun.status == 201
    assert (begun.json["state"], begun.json["issuer"]) == ("state-1", AS)
    assert begun.json["url"].startswith(f"{AS}/authorize?")
    assert finished.status == 204
    assert desk.connect.server.begun == [(BOB, BACK, "")]
    assert desk.connect.server.given == {BOB: ("state-1", "c", AS)}
    assert (await desk.ask("GET", "")).json == {"connections": [{"server": "git", "connected": True}]}
    assert (await desk.ask("GET", "", who="admin")).json == {"connections": [{"server": "git", "connected": False}]}
    assert desk.connect.recorder.steps == [("bob", "begin", "git", True), ("bob", "finish", "git", True)]


async def test_who_disconnects_is_forgotten_by_every_replica() -> None:
    desk = Desk(replicas=3)
    await desk.ask("PUT", "/git", FINISH)

    answered = await desk.ask("DELETE", "/git")

    assert answered.status == 204
    assert desk.connect.server.dropped == [BOB] * 3
    assert desk.connect.recorder.steps[-1] == ("bob", "drop", "git", True)


async def test_who_may_not_use_a_server_any_more_can_still_take_back_what_they_gave() -> None:
    roles = {"git": RoleSettings(allow=(PermissionSettings(servers=("git",), tools=("*",)),))}
    desk = Desk(policy=PolicySettings(roles=roles, assignments=(AssignmentSettings(role="git", subjects=("ann",)),)))
    desk.connect.server.given[BOB] = "state-1", "c", AS

    listed = await desk.ask("GET", "")
    dropped = await desk.ask("DELETE", "/git")
    again = [await desk.ask("DELETE", "/git"), await desk.ask("GET", "")]

    assert listed.json == {"connections": [{"server": "git", "connected": True}]}
    assert dropped.status == 204
    assert (again[0].status, again[1].json) == (404, {"connections": []})


async def test_when_the_gateway_is_connected_no_replica_waits_any_longer() -> None:
    desk = Desk(replicas=3)
    desk.connect.server.reason = "it took too long: begin again"
    await desk.ask("PUT", "/git/lists", FINISH, "admin")
    before = list(desk.connect.server.heeded)

    desk.connect.server.reason = ""
    await desk.ask("PUT", "/git/lists", FINISH, "admin")

    assert (before, desk.connect.server.heeded) == ([], [""] * 3)


async def test_the_gateway_itself_is_connected_by_who_may_change_servers() -> None:
    desk = Desk()

    refused = [await desk.ask(verb, "/git/lists", body) for verb, body in (("POST", {}), ("PUT", {}), ("DELETE", None))]
    begun = await desk.ask("POST", "/git/lists", {"redirect_uri": BACK}, "admin")
    finished = await desk.ask("PUT", "/git/lists", FINISH, "admin")

    assert [each.status for each in refused] == [403] * 3
    assert (begun.status, finished.status) == (201, 204)
    assert desk.connect.server.begun == [("", BACK, "")]
    assert list(desk.connect.server.given) == [""]


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/callback",
        "https://gateway.example/connect/callback",
        "http://evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://127.0.0.1:5000/x#y",
        "only1mcp://callback",
        "",
    ],
)
async def test_a_browser_comes_back_to_the_users_own_machine_or_not_at_all(uri: str) -> None:
    desk = Desk()

    answered = await desk.ask("POST", "/git", {"redirect_uri": uri})

    assert answered.status == 422
    assert desk.connect.server.begun == []


@pytest.mark.parametrize("name", ["open", "nobody"])
async def test_where_nobody_connects_there_is_nothing(name: str) -> None:
    desk = Desk()

    found = [
        await desk.ask("POST", f"/{name}", {"redirect_uri": BACK}),
        await desk.ask("PUT", f"/{name}", FINISH),
        await desk.ask("DELETE", f"/{name}"),
    ]

    assert [each.status for each in found] == [404] * 3


async def test_a_server_that_a_user_may_not_see_is_not_there_for_them() -> None:
    roles = {"git": RoleSettings(allow=(PermissionSettings(servers=("git",), tools=("*",)),))}
    policy = PolicySettings(roles=roles, assignments=(AssignmentSettings(role="git", subjects=("ann",)),))
    desk = Desk(policy=policy)

    found = [
        await desk.ask("POST", "/git", {"redirect_uri": BACK}),
        await desk.ask("PUT", "/git", FINISH),
        await desk.ask("DELETE", "/git"),
    ]

    assert [each.status for each in found] == [404] * 3
    assert (await desk.ask("GET", "")).json == {"connections": []}
    assert (await desk.ask("PUT", "/git", FINISH, "admin")).status == 204
    assert list(desk.connect.server.given) == [PRINCIPALS["admin"].key]


async def test_where_callers_are_not_told_apart_who_started_the_gateway_is_everybody() -> None:
    desk = Desk(guarded=False)

    answered = await desk.api.ask("PUT", "/connections/git", FINISH)

    assert answered.status == 204
    assert list(desk.connect.server.given) == [ANONYMOUS.key]
    assert (await desk.api.ask("PUT", "/connections/git", FINISH, None)).status == 401


async def test_where_they_are_told_apart_who_started_it_is_none_of_them() -> None:
    desk = Desk()

    answered = await desk.api.ask("PUT", "/connections/git", FINISH)

    assert answered.status == 409
    assert desk.connect.server.given == {}
    assert (await desk.api.ask("GET", "/connections")).json == {"connections": [{"server": "git", "connected": False}]}


async def test_why_it_cannot_be_is_told() -> None:
    desk = Desk()
    desk.connect.server.reason = "it took too long: begin again"
    finished = await desk.ask("PUT", "/git", FINISH)
    dropped = await desk.ask("DELETE", "/git")
    desk.connect.server.declines = Declined(No.UNKNOWN, "it has no authorization server")
    declined = await desk.ask("POST", "/git", {"redirect_uri": BACK})
    desk.connect.away = True
    away = await desk.ask("PUT", "/git", FINISH)
    bad = [await desk.ask("PUT", "/git", body) for body in (b"{", b"[]", json.dumps({"state": 1}).encode())]

    assert (finished.status, dropped.status, declined.status, away.status) == (409, 502, 502, 503)
    assert finished.json == {"error": "it took too long: begin again"}
    assert [each.status for each in bad] == [422] * 3
    assert [step[3] for step in desk.connect.recorder.steps] == [False] * 3


async def test_who_disconnects_is_heard_if_one_replica_hears_it() -> None:
    desk = Desk(replicas=2)
    desk.connect.lost = {0}

    answered = await desk.ask("DELETE", "/git")
    desk.connect.lost = {0, 1}
    unheard = await desk.ask("DELETE", "/git")

    assert (answered.status, unheard.status) == (204, 503)
    assert desk.connect.server.dropped == [BOB]
    assert [step[3] for step in desk.connect.recorder.steps] == [True, False]


async def test_an_answer_that_is_lost_is_remembered_as_such() -> None:
    desk = Desk()
    desk.connect.server.breaks = True

    answered = await desk.ask("PUT", "/git", FINISH)

    assert answered.status == 503
    assert desk.connect.recorder.steps == [("bob", "finish", "git", False)]
