"""A consent is finished by who began it, once, with an answer of the server that was asked, and by nobody else."""

import asyncio
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.core.consent import ConsentBegun
from actors.core.tokens.issued import Declined
from actors.credentials.consent_state import STATE_SECONDS
from actors.credentials.consents import NOT_OURS, OVER, USED
from actors.credentials.keeper import GONE, KeptCredentials
from actors.refs.gone import ActorGone
from actors.transports.authorization import ConsentError
from tests.actors.test_user_tokens import WRITE, replicas
from tests.support.consent_office import BACK, ConsentOffice
from tests.support.hand_clock import HandClock
from tests.support.vault import VaultBox

PUBLIC = "https://gw.example/connect/callback"
DOCUMENT = "https://gw.example/connect/client.json"


async def test_what_one_replica_has_begun_another_one_finishes_once() -> None:
    async with replicas(2) as (world, _, _, (here, there)):
        begun = await here.begin("ada")
        state, code, issuer = world.agree(begun.url, "ada")

        first = await there.consents.finish("ada", state, code, issuer)
        second = await here.consents.finish("ada", state, code, issuer)

        assert (first, second) == ("", USED)
        assert (state, begun.issuer) == (begun.state, world.origin)
        assert world.holders[await here.tokens.token("ada")] == "ada"
    assert world.faults == []
    assert begun.url not in repr(begun)


async def test_of_two_who_finish_at_once_one_redeems_the_code() -> None:
    async with replicas(2) as (world, _, _, (here, there)):
        state, code, issuer = world.agree((await here.begin("ada")).url, "ada")

        ends = await asyncio.gather(*(each.consents.finish("ada", state, code, issuer) for each in (here, there)))

    assert sorted(ends) == ["", USED]
    assert world.faults == []


async def test_a_state_is_worth_nothing_for_another_principal_backend_or_gateway() -> None:
    async with replicas() as (world, clock, vault, (office,)):
        state, code, issuer = world.agree((await office.begin("ada")).url, "ada")
        stranger = VaultBox(None)
        strangers = [
            (office, "bob"),
            (office, ""),
            (ConsentOffice(world, vault, clock, backend="other"), "ada"),
            (ConsentOffice(world, stranger.start(b"t" * 32), clock), "ada"),
        ]

        ends = [await each.consents.finish(principal, state, code, issuer) for each, principal in strangers]
        changed = await office.consents.finish("ada", f"{state[:-2]}AA", code, issuer)
        long = await office.consents.finish("ada", "A" * 4000, code, issuer)

        assert {*ends, changed, long} == {NOT_OURS}
        with pytest.raises(ConsentError):
            await office.tokens.token("bob")
        assert await office.consents.finish("ada", state, code, issuer) == ""


async def test_a_state_is_good_for_ten_minutes() -> None:
    async with replicas() as (world, clock, _, (office,)):
        state, code, issuer = world.agree((await office.begin("ada")).url, "ada")

        clock.advance(STATE_SECONDS)

        assert await office.consents.finish("ada", state, code, issuer) == OVER
    assert world.asked == []


async def test_a_code_of_somebody_else_is_not_taken_for_the_users_own() -> None:
    async with replicas() as (world, _, _, (office,)):
        mine, evil = await office.begin("ada"), await office.begin("eve")
        state, _, issuer = world.agree(mine.url, "ada")
        _, injected, _ = world.agree(evil.url, "eve")

        end = await office.consents.finish("ada", state, injected, issuer)

        assert "invalid_grant" in end
        with pytest.raises(ConsentError):
            await office.tokens.token("ada")
    assert world.faults == ["a code without its proof key"]


@pytest.mark.parametrize("named", ["", "https://evil.example"])
async def test_an_answer_of_another_authorization_server_is_not_taken_and_its_code_goes_nowhere(named: str) -> None:
    async with replicas() as (world, _, _, (office,)):
        state, code, _ = world.agree((await office.begin("ada")).url, "ada")

        end = await office.consents.finish("ada", state, code, named)

    assert "authorization server" in end
    assert world.asked == []


async def test_a_server_that_names_another_authorization_server_meanwhile_gets_no_code_for_it() -> None:
    async with replicas(2) as (world, _, _, (here, there)):
        state, code, issuer = world.agree((await here.begin("ada")).url, "ada")
        world.resource = {"resource": world.origin}

        end = await there.consents.finish("ada", state, code, issuer)

    assert "is another one by now" in end
    assert world.asked == []


async def test_the_gateway_introduces_itself_once_for_its_own_way_back_and_for_each_command() -> None:
    async with replicas(2) as (world, _, _, (here, there)):
        for redirect_uri in (PUBLIC, PUBLIC, BACK, "http://127.0.0.1:5/callback", PUBLIC):
            await here.begin("ada", redirect_uri)
            await there.begin("bob", redirect_uri)

        documents = [document for document in world.registered.values() if document]

    assert [document["redirect_uris"] for document in documents] == [[PUBLIC], [BACK], ["http://127.0.0.1:5/callback"]]
    assert {document["token_endpoint_auth_method"] for document in documents} == {"none"}


@pytest.mark.parametrize(
    ("method", "shown"), [("client_secret_basic", "Basic "), ("client_secret_post", ""), ("none", "")]
)
async def test_a_client_that_was_given_a_secret_proves_itself_with_it(method: str, shown: str) -> None:
    async with replicas() as (world, clock, _, (office,)):
        world.metadata = {"token_endpoint_auth_methods_supported": [method]}
        await office.connect("ada")
        clock.advance(301)
        await office.tokens.token("ada")
        await office.consents.drop("ada")

    assert [authorization[:6] for _, authorization in world.asked] == [shown, shown]
    assert [form.get("client_secret") for form, _ in world.asked] == [
        "client-1-s3cret" if method == "client_secret_post" else None
    ] * 2
    assert len(world.revoked) == 1


async def test_a_client_may_prove_itself_by_a_signature_with_codes_and_refresh_tokens() -> None:
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with replicas(auth={"client_id": "gw", "private_key": pem}) as (world, clock, vault, (office,)):
        await office.connect("ada")
        clock.advance(301)
        await office.tokens.token("ada")
        kept = await vault.credential("ada", "git", world.origin)

    for form, authorization in world.asked:
        options = {"verify_exp": False, "verify_iat": False}
        said = jwt.decode(form["client_assertion"], key.public_key(), ["ES256"], options, audience=world.origin)
        assert (said["sub"], authorization, form.get("client_secret")) == ("gw", "", None)
    assert len({form["client_assertion"] for form, _ in world.asked}) == 2
    assert kept is not None
    assert b"PRIVATE KEY" not in kept


async def test_a_configured_secret_is_kept_in_the_settings_alone() -> None:
    async with replicas(auth={"client_id": "gw", "client_secret": "s3cret"}) as (world, _, vault, (office,)):
        await office.connect("ada")
        kept = await vault.credential("ada", "git", world.origin)

    assert world.asked[0][1].startswith("Basic ")
    assert kept is not None
    assert b"s3cret" not in kept


async def test_a_configured_client_is_not_registered() -> None:
    async with replicas(auth={"client_id": "gw"}) as (world, _, _, (office,)):
        await office.connect("ada")

    assert (list(world.registered), world.asked[0][0]["client_id"]) == (["gw"], "gw")


async def test_where_documents_about_clients_are_read_the_gateway_is_known_by_its_own() -> None:
    async with replicas() as (world, _, _, (office,)):
        world.metadata = {"client_id_metadata_document_supported": True}
        world.registered[DOCUMENT] = {}
        begun = await office.begin("ada", PUBLIC, document_url=DOCUMENT)
        state, code, issuer = world.agree(begun.url, "ada")

        end = await office.consents.finish("ada", state, code, issuer)

    assert end == ""
    assert (len(world.registered), world.asked[0][0]["client_id"]) == (2, DOCUMENT)


async def test_what_the_server_says_to_whoever_has_no_token_says_where_to_look_and_what_to_ask_for() -> None:
    async with replicas() as (world, _, _, (office,)):
        world.challenge = 'Bearer scope="read files"'
        world.metadata = {"scopes_supported": ["openid", "offline_access"]}

        await office.connect("ada")

    assert world.pages[0]["scope"] == "read files offline_access"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"authorization_endpoint": None}, "no page for users"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "not a URL of HTTP"),
        ({"authorization_endpoint": "http://10.0.0.1/authorize"}, "not https"),
        ({"authorization_endpoint": "https://10.0.0.1/authorize"}, "not public"),
        ({"code_challenge_methods_supported": ["plain"]}, "proof keys"),
        ({"code_challenge_methods_supported": None}, "proof keys"),
        ({"registration_endpoint": None}, "configure `client_id`"),
        ({"registration_endpoint": "https://169.254.169.254/x"}, "not public"),
        ({"issuer": "https://evil.example"}, "of another issuer"),
    ],
)
async def test_nobody_is_sent_anywhere_that_cannot_be_trusted(metadata: dict[str, Any], reason: str) -> None:
    async with replicas() as (world, _, _, (office,)):
        world.metadata = metadata

        declined = await office.consents.begin("ada", BACK)

    assert isinstance(declined, Declined)
    assert reason in declined.reason


async def test_a_registration_that_is_refused_is_said_and_tried_again_the_next_time() -> None:
    async with replicas() as (world, _, _, (office,)):
        world.metadata = {"registration_endpoint": f"{world.origin}/nowhere/.well-known/x"}
        world.holders.clear()
        declined = await office.consents.begin("ada", BACK)
        world.metadata = {}

        again = await office.consents.begin("ada", BACK)

    assert isinstance(declined, Declined)
    assert "does not register" in declined.reason
    assert isinstance(again, ConsentBegun)


async def test_a_way_back_that_others_could_listen_on_is_declined() -> None:
    async with replicas() as (_, _, _, (office,)):
        declined = await office.consents.begin("ada", "http://gw.example/connect/callback")

    assert isinstance(declined, Declined)


async def test_a_consent_is_dropped_also_while_everybody_else_is_away_and_twice() -> None:
    async with replicas() as (world, clock, vault, (office,)):
        await office.connect("ada")
        assert await office.consents.has("ada")
        world.resource, world.metadata = None, {"issuer": "gone"}
        fresh = ConsentOffice(world, vault, clock)

        ends = [await fresh.consents.drop("ada"), await fresh.consents.drop("ada")]

        assert ends == ["", ""]
        assert not await fresh.consents.has("ada")


async def test_who_must_agree_to_more_has_not_agreed_until_they_do() -> None:
    async with replicas() as (_, _, _, (office,)):
        await office.connect("ada")
        with pytest.raises(ConsentError):
            office.tokens.refused("ada", await office.tokens.token("ada"), 403, WRITE, again=True)

        before = await office.consents.has("ada")
        await office.connect("ada")

        assert (before, await office.consents.has("ada")) == (False, True)


async def test_without_a_vault_everything_says_so_and_nothing_is_redeemed() -> None:
    def gone() -> Any:
        raise ActorGone("RayActorError")

    async with replicas() as (world, clock, _, (good,)):
        office = ConsentOffice(world, KeptCredentials(gone), clock)
        begun = await good.begin("ada")

        declined = await office.consents.begin("ada", BACK)
        end = await office.consents.finish("ada", begun.state, "code", world.origin)

        assert isinstance(declined, Declined)
        assert {declined.reason, end, await office.consents.drop("ada")} == {GONE}
    assert world.asked == []


async def test_a_vault_that_answers_is_asked_for_everything() -> None:
    vault = VaultBox(None).start()
    kept = KeptCredentials(lambda: vault)
    async with replicas() as (world, _, _, _):
        office = ConsentOffice(world, kept, HandClock())
        await office.connect("ada")

        assert world.holders[await office.tokens.token("ada")] == "ada"
        assert await office.consents.drop("ada") == ""
        assert json.dumps(world.revoked) == '["refresh-1"]'
