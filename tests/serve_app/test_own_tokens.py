import asyncio
from pathlib import Path

import jwt
import pytest

from actors.core.principal import Kind, Refusal
from actors.core.tokens.grant import Grant
from actors.core.tokens.issued import Shown, TokenPair
from actors.core.tokens.revocations import Target
from actors.refs.gone import ActorGone
from actors.vault import Vault
from serve_app.auth import Auth
from serve_app.own_tokens import OwnTokens
from tests.support.bus import until
from tests.support.tokens import ISSUER, claims, issuer, key_file, pem, rsa_key, token
from tests.support.vault import CONFIGURED, VaultBox, auth_settings


class Office:
    """Auth beside a Vault, which may be away."""

    def __init__(self, folder: Path) -> None:
        trusted = issuer(key_file=key_file(folder, pem(rsa_key())))
        self.box = VaultBox(folder / "vault", auth_settings(issuers=(trusted,)))
        self.vault = self.box.start(watch_seconds=0.02)
        self.away = False
        self.own = OwnTokens(self.box.own, self._find, first_seconds=30.0)
        self.auth = Auth(self.box.auth, self.box.clock, own=self.own)

    def _find(self) -> Vault:
        if self.away:
            raise ActorGone("RayActorError")
        return self.vault

    def external(self, **changes: object) -> str:
        return token(claims(self.box.clock.now, **{"jti": "j1", **changes}), rsa_key())


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


async def logged_in(office: Office) -> TokenPair:
    pair = await office.vault.log_in(Grant("corp:ada", "cli", ("mcp",), ("dev",), ("otp",)))
    assert isinstance(pair, TokenPair)
    return pair


async def test_who_logged_in_is_recognised_with_all_that_the_token_says(office: Office) -> None:
    pair = await logged_in(office)

    verdict = await office.auth.verify(pair.access)

    principal = verdict.principal
    assert principal is not None
    assert (principal.subject, principal.issuer, principal.kind) == ("corp:ada", office.box.own.issuer, Kind.TOKEN)
    assert (principal.client, principal.scopes, principal.groups, principal.amr) == (
        "cli",
        ("mcp",),
        ("dev",),
        ("otp",),
    )
    assert principal.family
    assert principal.token_id


async def test_a_token_of_a_key_that_was_just_made_is_accepted(office: Office) -> None:
    await office.auth.verify((await logged_in(office)).access)
    office.box.clock.advance(31 * 86_400.0)
    await office.vault.look_round()

    verdict = await office.auth.verify((await logged_in(office)).access)

    assert verdict.principal is not None


async def test_a_refresh_token_opens_nothing(office: Office) -> None:
    assert (await office.auth.verify((await logged_in(office)).refresh)).principal is None


async def test_the_gateways_name_on_a_token_of_somebody_else_is_worth_nothing(office: Office) -> None:
    pair = await logged_in(office)
    kid = jwt.get_unverified_header(pair.access)["kid"]
    own = office.box.own
    forged = token(claims(office.box.clock.now, iss=own.issuer, aud=own.audience), rsa_key(), kid=kid)

    assert (await office.auth.verify(forged)).refusal is Refusal.UNKNOWN


@pytest.mark.parametrize(
    ("target", "value"),
    [
        (Target.TOKEN, "j1"),
        (Target.SUBJECT, "alice"),
        (Target.CLIENT, "cli"),
        (Target.ISSUER, ISSUER),
    ],
)
async def test_what_is_revoked_is_refused_whoever_issued_it(office: Office, target: Target, value: str) -> None:
    office.box.clock.advance(1.0)
    credential = office.external(client_id="cli")
    assert (await office.auth.verify(credential)).principal is not None

    await office.vault.revoke(target, value)

    await until(lambda: bool(office.own._ledger.revocations.entries))
    assert (await office.auth.verify(credential)).refusal is Refusal.INVALID


async def test_a_key_made_a_moment_ago_is_accepted_and_one_deleted_is_not(office: Office) -> None:
    await office.auth.verify(CONFIGURED)
    shown = await office.vault.create_key("robot", ("mcp",), ("bots",), None)
    assert isinstance(shown, Shown)

    verdict = await office.auth.verify(shown.secret)

    assert verdict.principal is not None
    assert verdict.principal.subject == "robot"
    assert verdict.principal.scopes == ("mcp",)
    assert verdict.principal.groups == ("bots",)
    await office.vault.delete_key("robot")
    await until(lambda: not office.own._ledger.keys)
    assert (await office.auth.verify(shown.secret)).principal is None


async def test_the_verdict_on_a_key_ends_with_the_key(office: Office) -> None:
    shown = await office.vault.create_key("robot", (), (), 10.0)
    assert isinstance(shown, Shown)

    assert (await office.auth.verify(shown.secret)).lasts == 10.0
    office.box.clock.advance(10.0)
    assert (await office.auth.verify(shown.secret)).principal is None


async def test_while_the_vault_is_away_what_is_known_of_it_goes_on(office: Office) -> None:
    pair = await logged_in(office)
    assert (await office.auth.verify(pair.access)).principal is not None

    office.away = True

    assert (await office.auth.verify(pair.access)).principal is not None
    assert (await office.auth.verify(office.external())).principal is not None
    assert (await office.auth.verify("o1m_unknown")).refusal is Refusal.UNAVAILABLE


async def test_as_long_as_nobody_knows_what_is_revoked_nobody_is_let_in(office: Office) -> None:
    office.away = True
    office.own._first_seconds = 0.01

    assert (await office.auth.verify(office.external())).refusal is Refusal.UNAVAILABLE
    assert (await office.auth.verify(CONFIGURED)).refusal is Refusal.UNAVAILABLE

    office.away = False
    await until(office.own._first.is_set)
    assert (await office.auth.verify(CONFIGURED)).principal is not None


async def test_however_many_unknown_keys_are_tried_one_question_is_under_way(office: Office) -> None:
    await office.auth.verify(CONFIGURED)
    asked = 0
    news = office.vault.news

    async def counted(generation: str, version: int) -> object:
        nonlocal asked
        asked += 1
        return await news(generation, version)

    office.vault.news = counted  # type: ignore[method-assign,assignment]

    verdicts = await asyncio.gather(*(office.auth.verify(f"o1m_{number}") for number in range(50)))

    assert {verdict.refusal for verdict in verdicts} == {Refusal.UNKNOWN}
    assert asked <= 2
