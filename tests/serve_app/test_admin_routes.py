"""The table of the admin API: each route asks for its own permission, and what is described is what is answered."""

import asyncio
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from actors.core.permission_settings import ADMIN_ACTIONS, PermissionSettings
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import Kind, Principal, Verdict
from serve_app.admin.routes import Route
from tests.support.admin_office import TOKEN, Office, judge_of, listening
from tests.support.connect_office import ConnectOffice, connection_routes
from tests.support.vault import VaultBox

PREFIX = "/api/v1/admin"

SOMEBODY = AssignmentSettings(role="viewer", everyone=True)


async def verify(credential: str) -> Verdict:
    """A credential is the name of the one role of its bearer."""
    return Verdict(Principal(credential, "https://id", Kind.TOKEN, ("mcp",), roles=(credential,)), None, 60.0)


def role_of(action: str) -> str:
    return action.replace(":", "-")


def guarded() -> Office:
    """With a policy in which there is a role for each action."""
    roles = {role_of(action): RoleSettings(allow=(PermissionSettings(admin=(action,)),)) for action in ADMIN_ACTIONS}
    judge = judge_of(PolicySettings(roles=roles, assignments=(SOMEBODY,)))
    more = connection_routes(ConnectOffice(), verify)
    return Office(verify=verify, vault=VaultBox(None).start(), judge=judge, more=more)


async def described(office: Office) -> dict[str, Any]:
    document: dict[str, Any] = (await office.ask("GET", "/openapi.json")).json
    return document


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Verb, path with a name in each place, and what is said of it."""
    return [
        (verb.upper(), path.replace("{name}", "nobody").replace("{index}", "7"), operation)
        for path, item in document["paths"].items()
        for verb, operation in item.items()
        if verb != "parameters"
    ]


async def test_every_route_asks_for_its_own_permission_and_no_other_one_will_do() -> None:
    listed = operations(await described(guarded()))

    for verb, path, operation in listed:
        needed = operation.get("x-permission")
        for action in ADMIN_ACTIONS:
            answered = await guarded().ask(verb, path, {}, role_of(action))
            assert (answered.status == 403) is (needed is not None and action != needed), (verb, path, action)
    assert {operation.get("x-permission") for _, _, operation in listed} >= {"servers:write", "tokens:read", "reload"}


async def test_who_lacks_a_permission_is_told_which_and_the_owner_lacks_none() -> None:
    refused = await guarded().ask("POST", "/reload", credential="servers-write")
    owner = await guarded().ask("POST", "/reload", credential=TOKEN)

    assert (refused.status, refused.json) == (403, {"error": "the permission reload is required"})
    assert owner.status == 202


async def test_the_scope_of_administrators_is_not_enough_where_a_policy_says_who_may() -> None:
    async def with_scope(credential: str) -> Verdict:
        return Verdict(Principal("ann", "https://id", Kind.TOKEN, ("only1mcp:admin",)), None, 60.0)

    office = Office(verify=with_scope, judge=judge_of(PolicySettings(assignments=(SOMEBODY,))))

    assert (await office.ask("GET", "/servers", credential="x")).status == 403
    assert (await Office(verify=with_scope).ask("GET", "/servers", credential="x")).status == 200


async def test_all_that_is_described_wants_a_credential() -> None:
    for verb, path, _ in operations(await described(guarded())):
        assert (await guarded().ask(verb, path, {}, None)).status == 401, (verb, path)


def test_a_route_about_an_action_that_permissions_do_not_know_cannot_be_made() -> None:
    async def nothing(asked: object) -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match="'servers:raed'"):
        Route("GET", "/x", "servers:raed", "", nothing)


@pytest.mark.parametrize("mode", GenerationMode)
async def test_whatever_is_sent_no_answer_is_a_500_and_each_is_as_described(mode: GenerationMode) -> None:
    office = guarded()
    schema = schemathesis.openapi.from_dict(await described(office))
    cases = [
        result.ok().as_strategy(generation_mode=mode)
        for result in schema.get_all_operations()
        if isinstance(result, Ok)
    ]
    seen: set[int] = set()

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(cases))
    def ask_anything(case: schemathesis.Case[Any]) -> None:
        response = case.call(base_url=f"{url}{PREFIX}", session=session, headers=owner, timeout=20.0)
        seen.add(response.status_code)
        case.validate_response(
            response, checks=[not_a_server_error, status_code_conformance, response_schema_conformance]
        )

    owner = {"authorization": f"Bearer {TOKEN}"}
    with listening(office) as port, requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{port}"
        shown = await asyncio.to_thread(session.get, f"{url}{PREFIX}/servers", headers=owner, timeout=20.0)
        await asyncio.to_thread(office.tell_later, "git", "odd\u200b")
        await asyncio.to_thread(ask_anything)

    assert shown.status_code == 200
    assert seen & ({200, 201, 202, 204} if mode is GenerationMode.POSITIVE else {404, 422})
