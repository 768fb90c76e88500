from typing import Any

import jwt
import pytest

from actors.core.auth_settings import AuthSettings
from actors.core.tokens.grant import Grant
from tests.support.admin_office import Office
from tests.support.vault import VaultBox, auth_settings


@pytest.fixture
def office() -> Office:
    return Office(vault=VaultBox(None).start())


async def test_a_token_for_a_service_is_shown_once(office: Office) -> None:
    made = await office.ask("POST", "/tokens", {"subject": "ci", "scopes": ["mcp"], "groups": ["bots"]})

    assert made.status == 201
    assert made.header("cache-control") == "no-store"
    claims = jwt.decode(made.json["token"], options={"verify_signature": False})
    assert (claims["sub"], claims["scope"], claims["groups"]) == ("ci", "mcp", ["bots"])
    listed = await office.ask("GET", "/tokens")
    (entry,) = listed.json["tokens"]
    assert entry == {key: value for key, value in made.json.items() if key != "token"}
    assert (entry["kind"], entry["subject"], entry["revoked"]) == ("service", "ci", False)


async def test_a_token_is_revoked_by_its_id(office: Office) -> None:
    made = (await office.ask("POST", "/tokens", {"subject": "ci"})).json

    assert (await office.ask("DELETE", f"/tokens/{made['id']}")).status == 204

    assert (await office.ask("GET", "/tokens")).json["tokens"][0]["revoked"] is True
    assert (await office.ask("DELETE", "/tokens/nobody")).status == 404


async def test_a_key_is_made_listed_rotated_and_deleted(office: Office) -> None:
    made = await office.ask("POST", "/keys", {"name": "robot", "scopes": ["mcp"], "lifetime_seconds": 86_400})
    again = await office.ask("POST", "/keys", {"name": "robot"})
    rotated = await office.ask("POST", "/keys/robot/rotate", {"overlap_seconds": 60})
    (listed,) = (await office.ask("GET", "/keys")).json["keys"]
    deleted = await office.ask("DELETE", "/keys/robot")

    assert (made.status, again.status, rotated.status, deleted.status) == (201, 409, 201, 204)
    assert made.json["key"].startswith(made.json["begins_with"])
    assert rotated.json["key"] != made.json["key"]
    assert listed["begins_with"] == rotated.json["begins_with"]
    assert listed["former_until"]
    assert "key" not in listed
    assert "hash" not in listed
    assert (await office.ask("GET", "/keys")).json["keys"] == []
    assert (await office.ask("POST", "/keys/robot/rotate")).status == 404


@pytest.mark.parametrize(
    ("order", "target", "value"),
    [
        ({"subject": "eve"}, "subject", "eve"),
        ({"client": "app", "issuer": "https://id"}, "client", "app"),
        ({"issuer": "https://id"}, "issuer", "https://id"),
        ({"family": "f1"}, "family", "f1"),
        ({"token": "j1"}, "token", "j1"),
    ],
)
async def test_whatever_can_be_revoked_is_and_may_be_taken_back(
    office: Office, order: dict[str, str], target: str, value: str
) -> None:
    made = await office.ask("POST", "/revocations", order)

    assert made.status == 201
    assert (made.json["target"], made.json["value"]) == (target, value)
    assert made.json["issuer"] == order.get("issuer", "")
    assert (await office.ask("GET", "/revocations")).json["revocations"] == [made.json]
    assert (await office.ask("DELETE", f"/revocations/{made.json['id']}")).status == 204
    assert (await office.ask("GET", "/revocations")).json["revocations"] == []
    assert (await office.ask("DELETE", f"/revocations/{made.json['id']}")).status == 404


async def test_a_token_is_revoked_by_itself_and_not_repeated(office: Office) -> None:
    token = (await office.ask("POST", "/tokens", {"subject": "ci"})).json["token"]

    made = await office.ask("POST", "/revocations", {"token": token})

    assert made.status == 201
    assert token not in made.body.decode()
    assert (await office.ask("GET", "/tokens")).json["tokens"][0]["revoked"] is True


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokens", {}),
        ("/tokens", {"subject": "corp:ada"}),
        ("/tokens", {"subject": "ci", "scopes": "mcp"}),
        ("/tokens", {"subject": "ci", "scopes": ["a b"]}),
        ("/tokens", {"subject": "ci", "lifetime_seconds": -1}),
        ("/tokens", {"subject": "ci", "lifetime_seconds": 1e11}),
        ("/tokens", {"subject": "ci", "unknown": 1}),
        ("/tokens", b"{"),
        ("/keys", {"name": "a b"}),
        ("/keys", {"name": "robot", "lifetime_seconds": 0}),
        ("/keys", {"name": "robot", "groups": [""]}),
        ("/revocations", {}),
        ("/revocations", {"subject": "a", "client": "b"}),
        ("/revocations", {"subject": ""}),
        ("/revocations", {"token": "a.b.c"}),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_with_a_sentence(office: Office, path: str, body: Any) -> None:
    answer = await office.ask("POST", path, body)

    assert answer.status == 422
    assert answer.json["error"]


@pytest.mark.parametrize(("verb", "path"), [("GET", "/tokens"), ("POST", "/keys"), ("POST", "/revocations")])
async def test_nobody_else_may(office: Office, verb: str, path: str) -> None:
    assert (await office.ask(verb, path, credential=None)).status == 401


async def test_logins_are_listed_and_ended_there_too() -> None:
    vault = VaultBox(None).start()
    await vault.log_in(Grant("corp:ada", "cli", ("mcp",)))
    office = Office(vault=vault)

    ((entry),) = (await office.ask("GET", "/tokens")).json["tokens"]
    assert (entry["kind"], entry["subject"]) == ("login", "corp:ada")

    assert (await office.ask("DELETE", f"/tokens/{entry['id']}")).status == 204
    assert (await office.ask("GET", "/tokens")).json["tokens"] == []


async def test_while_the_vault_is_away_the_caller_is_asked_to_come_back(office: Office) -> None:
    office.away = True

    assert (await office.ask("GET", "/tokens")).status == 503


async def test_without_authentication_there_is_nothing_of_all_this() -> None:
    assert (await Office().ask("GET", "/tokens")).status == 404


async def test_where_no_tokens_are_issued_keys_are_made_all_the_same() -> None:
    keys = auth_settings().api_keys
    office = Office(vault=VaultBox(None, AuthSettings(api_keys=keys)).start())

    assert (await office.ask("POST", "/tokens", {"subject": "ci"})).status == 404
    assert (await office.ask("POST", "/keys", {"name": "robot"})).status == 201
