"""Roles times methods times servers times circumstances, over HTTP and in both eras, against an independent oracle."""

import itertools
import json
from typing import Any

import pytest

from actors.core.listing import Facts, Item, Listing
from actors.core.permission_settings import ConditionSettings, MfaSettings, PermissionSettings, WindowSettings
from actors.core.policy.action import Action, ActionKind, Circumstances
from actors.core.policy.roles import roles_of
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import Kind, Principal, Verdict
from actors.core.revisions import Era
from tests.support.house import House, Plan, Replica, house
from tests.support.policy_oracle import Oracle
from tests.support.posts import LegacyClient, ModernClient

HINTS = {"look": {"readOnlyHint": True}, "change": {"destructiveHint": False}, "drop": {}}
LISTING = Listing(
    tools=tuple(Item(name, json.dumps({"name": name, "annotations": hints}).encode()) for name, hints in HINTS.items()),
    resources=(Item("doc:a", b'{"uri":"doc:a","name":"a"}'), Item("doc:b", b'{"uri":"doc:b","name":"b"}')),
    prompts=(Item("ask", b'{"name":"ask"}'), Item("beg", b'{"name":"beg"}')),
)
SERVERS = ("git", "web")
FACTS = Facts(
    Era.MODERN,
    "2026-07-28",
    b'{"name":"up","version":"1"}',
    b'{"tools":{},"resources":{},"prompts":{},"completions":{}}',
)


def allow(**what: Any) -> PermissionSettings:
    return PermissionSettings(**what)


POLICY = PolicySettings(
    roles={
        "reader": RoleSettings(allow=(allow(resources=("*",), prompts=("a*",)),)),
        "looker": RoleSettings(
            inherits=("reader",),
            allow=(allow(tools=("*",), when=ConditionSettings(annotations={"readOnlyHint": True})),),
        ),
        "worker": RoleSettings(
            inherits=("looker",),
            allow=(
                allow(servers=("git",), tools=("change",)),
                allow(
                    servers=("git",),
                    tools=("drop",),
                    when=ConditionSettings(
                        mfa=MfaSettings(amr=("otp",)), windows=(WindowSettings(start="22:00", until="06:00"),)
                    ),
                ),
            ),
        ),
        "careful": RoleSettings(
            inherits=("looker", "worker"),
            deny=(
                allow(tools=("change",), when=ConditionSettings(arguments={"required": ["path"]})),
                allow(servers=("web",), resources=("doc:b",)),
            ),
        ),
        "inside": RoleSettings(
            allow=(
                allow(
                    tools=("*",),
                    prompts=("*",),
                    methods=("completion/complete",),
                    when=ConditionSettings(networks=("10.0.0.0/8",)),
                ),
            )
        ),
    },
    assignments=tuple(
        AssignmentSettings(role=role, groups=(role,))
        for role in ("reader", "looker", "worker", "careful", "inside", "viewer", "developer", "admin")
    ),
)
GROUPS = (
    (),
    ("reader",),
    ("looker",),
    ("worker",),
    ("careful",),
    ("inside",),
    ("viewer",),
    ("developer",),
    ("admin",),
    ("reader", "inside"),
)
NOW = {
    "day": 1_700_000_000.0 - 1_700_000_000 % 86_400 + 12 * 3600,
    "night": 1_700_000_000.0 - 1_700_000_000 % 86_400 + 2 * 3600,
}

REQUESTS: list[tuple[str, dict[str, Any], list[Action]]] = []
"""Each with the actions that must all be allowed, by their own names; of servers the first is put in."""
for tool, arguments in itertools.product(HINTS, ({}, {"path": "/x"})):
    REQUESTS.append(
        (
            "tools/call",
            {"name": tool, "arguments": arguments},
            [Action(ActionKind.TOOL, "", tool, HINTS[tool], lambda given=arguments: given)],
        )
    )
REQUESTS.extend(("resources/read", {"uri": uri}, [Action(ActionKind.RESOURCE, "", uri)]) for uri in ("doc:a", "doc:b"))
for prompt in ("ask", "beg"):
    REQUESTS.append(("prompts/get", {"name": prompt}, [Action(ActionKind.PROMPT, "", prompt)]))
    REQUESTS.append(
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": prompt}, "argument": {"name": "x", "value": ""}},
            [Action(ActionKind.METHOD, "", "completion/complete"), Action(ActionKind.PROMPT, "", prompt)],
        )
    )


class Visitor:
    """Someone with groups and a second factor or none, at an address."""

    def __init__(self, groups: tuple[str, ...], amr: tuple[str, ...], ip: str) -> None:
        self.principal = Principal("ann", "https://issuer", Kind.TOKEN, groups=groups, amr=amr)
        self.principal = Principal(
            "ann", "https://issuer", Kind.TOKEN, groups=groups, amr=amr, roles=roles_of(POLICY, self.principal)
        )
        self.ip = ip
        self.credential = f"{'-'.join(groups)}.{'-'.join(amr)}"


VISITORS = [
    Visitor(groups, amr, ip) for groups in GROUPS for amr in ((), ("otp",)) for ip in ("10.1.2.3", "172.16.1.1")
]


async def verify(credential: str) -> Verdict:
    principal = next(each.principal for each in VISITORS if each.credential == credential)
    return Verdict(principal, None, 60.0)


def at(built: House, ip: str) -> Any:
    """An ingress to which every request comes from there."""
    door = built.doorway()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await door({**scope, "client": (ip, 1)}, receive, send)

    return application


@pytest.mark.parametrize("time", NOW)
@pytest.mark.parametrize("endpoint", [None, *SERVERS])
async def test_every_request_and_every_list_is_what_the_oracle_says(endpoint: str | None, time: str) -> None:
    oracle = Oracle(POLICY)
    plan = Plan(
        policy=POLICY, verify=verify, listings=dict.fromkeys(SERVERS, LISTING), facts=dict.fromkeys(SERVERS, FACTS)
    )
    verdicts = set()
    async with house(*(Replica(server) for server in SERVERS), plan=plan) as built:
        built.clock.advance(NOW[time] - built.clock())
        applications = {ip: at(built, ip) for ip in ("10.1.2.3", "172.16.1.1")}
        for visitor in VISITORS:
            where = Circumstances(visitor.ip, NOW[time])
            path = "/mcp" if endpoint is None else f"/servers/{endpoint}/mcp"
            client = ModernClient(applications[visitor.ip], path, [("authorization", f"Bearer {visitor.credential}")])
            for server, (method, params, actions) in itertools.product(SERVERS, REQUESTS):
                if endpoint in (None, server):
                    mine = [Action(each.kind, server, each.name, each.annotations, each.arguments) for each in actions]
                    wanted = all(oracle.allows(visitor.principal, where, each) for each in mine)
                    found = await client.ask(method, named(params, server if endpoint is None else None))
                    assert is_allowed(found.status, found.json) == wanted, (
                        visitor.credential,
                        visitor.ip,
                        server,
                        params,
                    )
                    verdicts.add(wanted)
    assert verdicts == {True, False}


@pytest.mark.parametrize("groups", GROUPS)
async def test_lists_have_what_some_arguments_could_be_allowed_and_a_handshake_client_sees_the_same(
    groups: Any,
) -> None:
    oracle = Oracle(POLICY)
    visitor = next(each for each in VISITORS if each.principal.groups == groups and each.ip == "10.1.2.3")
    where = Circumstances(visitor.ip, NOW["day"])
    plan = Plan(
        policy=POLICY, verify=verify, listings=dict.fromkeys(SERVERS, LISTING), facts=dict.fromkeys(SERVERS, FACTS)
    )
    async with house(*(Replica(server) for server in SERVERS), plan=plan) as built:
        built.clock.advance(NOW["day"] - built.clock())
        application = at(built, visitor.ip)
        headers = [("authorization", f"Bearer {visitor.credential}")]
        modern, legacy = ModernClient(application, "/mcp", headers), LegacyClient(application, "/mcp", headers)
        await legacy.initialize()
        seen = [(await client.ask("tools/list")).json["result"]["tools"] for client in (modern, legacy)]

    could = [
        f"{server}__{tool}"
        for server, tool in itertools.product(SERVERS, HINTS)
        if any(
            oracle.allows(
                visitor.principal, where, Action(ActionKind.TOOL, server, tool, HINTS[tool], lambda given=given: given)
            )
            for given in ({}, {"path": "/x"})
        )
    ]
    assert [[each["name"] for each in tools] for tools in seen] == [could, could]


def named(params: dict[str, Any], server: str | None) -> dict[str, Any]:
    """The parameters as they are at an endpoint: at the aggregate with qualified names."""
    if server is None:
        return params
    if "uri" in params:
        return {"uri": f"only1mcp://{server}/{params['uri']}"}
    if "ref" in params:
        return {**params, "ref": {**params["ref"], "name": f"{server}__{params['ref']['name']}"}}
    return {**params, "name": f"{server}__{params['name']}"}


def is_allowed(status: int, body: Any) -> bool:
    """Whether the request came to its server; a server that shows nothing of itself to a caller is not there."""
    if status == 404:
        return False
    error = body.get("error")
    assert error is None or error["message"].startswith(("Unknown", "Resource not found")), body
    return error is None
