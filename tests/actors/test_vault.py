import asyncio
import os
import sqlite3
import stat
from pathlib import Path

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from structlog.testing import capture_logs

from actors.core.api_key import hash_of
from actors.core.auth_settings import TokenSettings
from actors.core.principal import ANONYMOUS, Kind, Principal
from actors.core.tokens.family import GRACE_SECONDS
from actors.core.tokens.grant import Grant
from actors.core.tokens.issued import Declined, GrantFault, No, Shown, TokenEntry, TokenPair
from actors.core.tokens.key_record import KeyRecord
from actors.core.tokens.revocations import MAX_REVOCATIONS, Revocation, Target
from actors.vault import Vault
from actors.vault_file import VaultError, open_vault, vault_path
from tests.support.bus import until
from tests.support.vault import URL, VaultBox, auth_settings

ADA = Grant("corp:ada", "cli", ("mcp",), ("dev",), ("pwd", "otp"), "2", 1_799_999_000.0)
CI = Grant("ci", "ci", ("mcp",), ("bots",))


@pytest.fixture
def box(tmp_path: Path) -> VaultBox:
    return VaultBox(tmp_path / "state.vault")


async def said(vault: Vault, token: str) -> dict[str, object]:
    """The claims of a token, checked as any other program would with the published keys."""
    keys = {key["kid"]: jwt.PyJWK(key) for key in msgspec.json.decode((await vault.ledger()).jwks)["keys"]}
    key = keys[jwt.get_unverified_header(token)["kid"]]
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return jwt.decode(token, key, [key.algorithm_name], options, audience=URL, issuer=URL)


async def logged_in(vault: Vault, grant: Grant = ADA) -> TokenPair:
    pair = await vault.log_in(grant)
    assert isinstance(pair, TokenPair)
    return pair


async def refreshed(vault: Vault, token: str, client: str = "") -> TokenPair:
    pair = await vault.refresh(token, client, ())
    assert isinstance(pair, TokenPair)
    return pair


async def test_who_logged_in_gets_an_access_token_that_anybody_can_verify(box: VaultBox) -> None:
    vault = box.start()

    pair = await logged_in(vault)

    claims = await said(vault, pair.access)
    assert jwt.get_unverified_header(pair.access)["typ"] == "at+jwt"
    assert claims["sub"] == "corp:ada"
    assert claims["client_id"] == "cli"
    assert claims["scope"] == "mcp"
    assert claims["groups"] == ["dev"]
    assert claims["amr"] == ["pwd", "otp"]
    assert claims["exp"] == box.clock.now + 900
    assert claims["jti"]
    assert claims["sid"]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
async def test_tokens_are_signed_as_the_settings_say(tmp_path: Path, algorithm: str) -> None:
    vault = VaultBox(None, auth_settings(TokenSettings(algorithm=algorithm))).start()

    pair = await logged_in(vault)

    assert jwt.get_unverified_header(pair.access)["alg"] == algorithm
    assert (await said(vault, pair.access))["sub"] == "corp:ada"


async def test_a_login_goes_on_over_a_restart_and_its_tokens_stay_good(box: VaultBox) -> None:
    pair = await logged_in(box.start())
    second = await refreshed(box.start(), pair.refresh)

    vault = box.start()
    third = await refreshed(vault, second.refresh)

    assert (await said(vault, pair.access))["sid"] == (await said(vault, third.access))["sid"]
    assert (await said(vault, third.access))["groups"] == ["dev"]


async def test_a_used_refresh_token_ends_the_login_and_all_that_came_of_it(box: VaultBox) -> None:
    pair = await logged_in(box.start())
    second = await refreshed(box.start(), pair.refresh)
    box.clock.advance(GRACE_SECONDS)
    vault = box.start()

    with capture_logs() as logs:
        assert await vault.refresh(pair.refresh, "", ()) is GrantFault.GRANT

    assert await vault.refresh(second.refresh, "", ()) is GrantFault.GRANT
    family = (await said(vault, second.access))["sid"]
    assert [(each.target, each.value) for each in (await vault.revocations()).entries] == [(Target.FAMILY, family)]
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["refresh_token_reused"]
    assert pair.refresh not in str(logs)


async def test_a_lost_answer_to_a_refresh_is_given_again(box: VaultBox) -> None:
    pair = await logged_in(box.start())
    second = await refreshed(box.start(), pair.refresh)

    again = await refreshed(box.start(), pair.refresh)

    assert again.refresh == second.refresh


async def test_another_client_cannot_use_a_refresh_token_nor_end_it(box: VaultBox) -> None:
    vault = box.start()
    pair = await logged_in(vault)

    assert await vault.refresh(pair.refresh, "other", ()) is GrantFault.GRANT
    assert isinstance(await vault.refresh(pair.refresh, "cli", ()), TokenPair)


async def test_a_refresh_gives_fewer_scopes_and_never_more(box: VaultBox) -> None:
    vault = box.start()
    pair = await logged_in(vault, Grant("corp:ada", "cli", ("a", "b")))

    assert await vault.refresh(pair.refresh, "", ("a", "c")) is GrantFault.SCOPE
    fewer = await vault.refresh(pair.refresh, "", ("a",))

    assert isinstance(fewer, TokenPair)
    assert (await said(vault, fewer.access))["scope"] == "a"


async def test_whose_subject_is_revoked_can_refresh_no_more_but_log_in_again(box: VaultBox) -> None:
    vault = box.start()
    pair = await logged_in(vault)
    box.clock.advance(1.0)

    await vault.revoke(Target.SUBJECT, "corp:ada")

    assert await vault.refresh(pair.refresh, "", ()) is GrantFault.GRANT
    box.clock.advance(0.01)
    fresh = await logged_in(vault)
    assert isinstance(await vault.refresh(fresh.refresh, "", ()), TokenPair)


async def test_a_service_gets_a_token_for_as_long_as_its_key_will_be_kept(box: VaultBox) -> None:
    vault = box.start()
    most = 60 * 86_400.0

    shown = await vault.issue(CI, most)
    too_long = await vault.issue(CI, most + 1)

    assert isinstance(shown, Shown)
    assert (await said(vault, shown.secret))["exp"] == box.clock.now + most
    assert "sid" not in await said(vault, shown.secret)
    assert isinstance(too_long, Declined)
    assert too_long.no is No.WRONG


@pytest.mark.parametrize("subject", ["", "corp:ada", "a b", "-x", "x" * 200, "\u00e9"])
async def test_a_service_cannot_have_the_name_of_a_person(box: VaultBox, subject: str) -> None:
    declined = await box.start().issue(Grant(subject), 60.0)

    assert isinstance(declined, Declined)
    assert declined.no is No.WRONG


async def test_what_was_issued_is_listed_without_the_token_and_marked_when_it_is_revoked(box: VaultBox) -> None:
    vault = box.start()
    await logged_in(vault)
    shown = await vault.issue(CI, 3600.0)
    assert isinstance(shown, Shown)
    assert isinstance(shown.entry, TokenEntry)

    assert await vault.end_token(shown.entry.id) is None

    listed = await box.start().tokens()
    assert [(each.kind, each.grant.subject, each.revoked) for each in listed] == [
        ("service", "ci", True),
        ("login", "corp:ada", False),
    ]
    assert shown.secret not in repr(listed)
    assert shown.secret not in repr(shown)


async def test_a_login_is_ended_by_its_id(box: VaultBox) -> None:
    vault = box.start()
    pair = await logged_in(vault)
    ((entry),) = await vault.tokens()

    await vault.end_token(entry.id)

    assert await vault.refresh(pair.refresh, "", ()) is GrantFault.GRANT
    assert await vault.tokens() == ()
    assert isinstance(await vault.end_token(entry.id), Declined)


@pytest.mark.parametrize("which", ["access", "refresh"])
async def test_who_gives_a_token_back_ends_the_login(box: VaultBox, which: str) -> None:
    vault = box.start()
    pair = await logged_in(vault)
    family = (await said(vault, pair.access))["sid"]

    await vault.end_text(getattr(pair, which))

    assert [each.value for each in (await vault.revocations()).entries] == [family]
    assert await vault.refresh(pair.refresh, "", ()) is GrantFault.GRANT


async def test_nobody_revokes_with_a_token_that_was_not_signed_here(box: VaultBox) -> None:
    vault = box.start()
    pair = await logged_in(vault)
    claims = await said(vault, pair.access)
    forged = jwt.encode(claims, "x" * 32, "HS256", jwt.get_unverified_header(pair.access) | {"alg": "HS256"})

    for text in (forged, "nonsense", "o1r_nonsense", pair.access + "x"):
        assert await vault.end_text(text) is None

    assert (await vault.revocations()).entries == ()


async def test_a_revocation_outlives_the_vault_and_goes_when_its_time_is_over(box: VaultBox) -> None:
    shown = await box.start().issue(CI, 3600.0)
    assert isinstance(shown, Shown)
    made = await box.start().revoke(Target.TOKEN, shown.secret)
    assert isinstance(made, Revocation)

    vault = box.start()
    assert (await vault.revocations()).entries == (made,)

    box.clock.advance(3600.0 + 61.0)
    await vault.look_round()
    assert (await vault.revocations()).entries == ()
    assert (await box.start().revocations()).entries == ()


async def test_a_revocation_can_be_taken_back(box: VaultBox) -> None:
    vault = box.start()
    made = await vault.revoke(Target.SUBJECT, "configured")
    assert isinstance(made, Revocation)

    assert await vault.forgive(made.id) is None

    assert (await box.start().revocations()).entries == ()
    assert isinstance(await vault.forgive(made.id), Declined)


async def test_the_router_hears_of_a_revocation_before_it_is_answered(box: VaultBox) -> None:
    vault = box.start()

    made = await vault.revoke(Target.SUBJECT, "eve")

    assert box.router.heard.entries == (made,)


async def test_a_router_that_started_again_is_told_what_is_revoked(box: VaultBox) -> None:
    vault = box.start()
    box.router.gone = True
    made = await vault.revoke(Target.SUBJECT, "eve")
    box.router.gone = False
    assert box.router.heard.entries == ()

    await until(lambda: bool(box.sleep.asleep))
    box.sleep.wake()

    await until(lambda: box.router.heard.entries == (made,))


async def test_watchers_hear_at_once(box: VaultBox) -> None:
    vault = box.start(watch_seconds=30.0)
    known = await vault.ledger()
    watching = asyncio.create_task(vault.watch(known.generation, known.version))
    await asyncio.sleep(0)

    await vault.create_key("robot", (), (), None)

    async with asyncio.timeout(5):
        heard = await watching
    assert [each.name for each in heard.keys] == ["robot"]
    assert heard.version > known.version


async def test_nobody_is_revoked_when_there_is_no_room_and_nobody_is_let_in_for_it(box: VaultBox) -> None:
    file = open_vault(box.path)
    with file.transaction():
        for number in range(MAX_REVOCATIONS):
            file.put_revocation(Revocation(Target.SUBJECT, str(number), before=1.0, until=1e12))
    file.close()
    vault = box.start()

    declined = await vault.revoke(Target.SUBJECT, "one-more")
    again = await vault.revoke(Target.SUBJECT, "7")

    assert isinstance(declined, Declined)
    assert declined.no is No.FULL
    assert isinstance(again, Revocation)
    assert len((await vault.revocations()).entries) == MAX_REVOCATIONS


async def test_a_key_is_shown_once_and_kept_as_a_hash(box: VaultBox) -> None:
    vault = box.start()

    shown = await vault.create_key("robot", ("mcp",), ("bots",), None)

    assert isinstance(shown, Shown)
    (record,) = (await box.start().ledger()).keys
    assert record.hash == hash_of(shown.secret)
    assert shown.secret.startswith(record.shown)
    assert len(record.shown) < len(shown.secret) / 2
    assert box.path is not None
    assert shown.secret.encode() not in box.path.read_bytes()


@pytest.mark.parametrize("name", ["robot", "configured"])
async def test_no_two_keys_have_one_name(box: VaultBox, name: str) -> None:
    vault = box.start()
    await vault.create_key("robot", (), (), None)

    declined = await vault.create_key(name, (), (), None)

    assert isinstance(declined, Declined)
    assert declined.no is No.TAKEN


async def test_a_rotated_key_is_good_for_a_while_longer_and_the_one_before_it_is_not(box: VaultBox) -> None:
    vault = box.start()
    secrets = [await vault.create_key("robot", (), (), None)]
    secrets += [await vault.rotate_key("robot", 3600.0) for _ in range(2)]
    texts = [shown.secret for shown in secrets if isinstance(shown, Shown)]
    (record,) = await box.start().keys()

    def good(text: str, later: float) -> bool:
        return record.match(hash_of(text).encode(), box.clock.now + later) is not None

    assert [good(text, 3599.0) for text in texts] == [False, True, True]
    assert [good(text, 3600.0) for text in texts] == [False, False, True]
    (over,) = (await vault.revocations()).entries
    first = secrets[0]
    assert isinstance(first, Shown)
    assert isinstance(first.entry, KeyRecord)
    assert over.value == first.entry.id


async def test_a_deleted_key_is_forgotten_by_those_who_remember_it(box: VaultBox) -> None:
    vault = box.start()
    shown = await vault.create_key("robot", (), (), None)
    assert isinstance(shown, Shown)
    ((record),) = await vault.keys()
    matched = record.match(hash_of(shown.secret).encode(), 0.0)
    assert matched is not None

    assert await vault.delete_key("robot") is None

    assert (await box.start().ledger()).keys == ()
    assert (await vault.revocations()).covers(matched[0])


async def test_a_key_that_the_configuration_has_by_now_gives_way(box: VaultBox) -> None:
    await VaultBox(box.path, auth_settings(api_keys=())).start().create_key("configured", (), (), None)

    vault = box.start()

    assert await vault.keys() == ()
    assert isinstance(await vault.delete_key("configured"), Declined)


async def test_signing_keys_change_and_tokens_of_the_old_one_stay_good(box: VaultBox) -> None:
    shown = await box.start().issue(CI, 60 * 86_400.0)
    assert isinstance(shown, Shown)

    box.clock.advance(31 * 86_400.0)
    vault = box.start()
    pair = await logged_in(vault)

    kids = [jwt.get_unverified_header(token)["kid"] for token in (shown.secret, pair.access)]
    assert kids[0] != kids[1]
    assert (await said(vault, shown.secret))["sub"] == "ci"


async def test_without_the_secret_the_keys_in_the_file_sign_nothing(box: VaultBox) -> None:
    pair = await logged_in(box.start())
    (key,) = box.files[0].ring().keys
    with pytest.raises(ValueError, match="deserialize"):
        load_der_private_key(key.private.encode(), None)

    with capture_logs() as logs:
        fresh = await logged_in(vault := box.start(secret=b"another" * 5))

    assert [line["event"] for line in logs][:1] == ["signing_key_unreadable"]
    assert jwt.get_unverified_header(fresh.access)["kid"] != jwt.get_unverified_header(pair.access)["kid"]
    assert (await said(vault, pair.access))["sub"] == "corp:ada"


async def test_credentials_for_servers_are_kept_encrypted_and_each_in_its_place(box: VaultBox) -> None:
    vault = box.start()
    assert await vault.put_credential("ada", "git", "https://id", b"upstream-secret")

    again = box.start()

    assert await again.credential("ada", "git", "https://id") == b"upstream-secret"
    assert await again.credential("eve", "git", "https://id") is None
    assert box.path is not None
    with sqlite3.connect(box.path) as connection:
        assert b"upstream-secret" not in str(connection.execute("SELECT * FROM credentials").fetchall()).encode()
        connection.execute("UPDATE credentials SET principal = 'eve'")
    connection.close()
    vault = box.start()
    assert await vault.credential("eve", "git", "https://id") is None
    assert not await vault.put_credential("ada", "git", "https://id", b"x" * 70_000)


async def test_a_credential_for_a_server_can_be_dropped(box: VaultBox) -> None:
    vault = box.start()
    await vault.put_credential("ada", "git", "https://id", b"upstream-secret")

    await vault.drop_credential("ada", "git", "https://id")

    assert await vault.credential("ada", "git", "https://id") is None


async def test_the_file_belongs_to_its_owner_alone(box: VaultBox) -> None:
    await box.start().ledger()

    assert box.path is not None
    files = [f"{box.path}{suffix}" for suffix in ("", "-wal", "-shm")]
    assert {stat.S_IMODE(os.stat(file).st_mode) for file in files} == {0o600}  # noqa: PTH116 - in a coroutine


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = vault_path(tmp_path / "state-8080.sqlite")
    path.write_bytes(b"not a database, but revocations may have stood in it")

    with pytest.raises(VaultError, match=r"state-8080\.sqlite\.vault"):
        open_vault(path)

    assert path.read_bytes().startswith(b"not a database")


async def test_a_file_that_could_not_be_opened_is_tried_again(box: VaultBox) -> None:
    def broken(_: Path | None) -> None:
        raise VaultError("locked")

    opens = box.open
    box.open = broken  # type: ignore[assignment]
    vault = box.start()
    with pytest.raises(VaultError):
        await vault.tokens()

    box.open = opens

    assert await vault.tokens() == ()


async def test_who_stops_waiting_for_a_change_does_not_stop_it(box: VaultBox) -> None:
    vault = box.start()
    await vault.ledger()
    creating = asyncio.create_task(vault.create_key("robot", (), (), None))
    await asyncio.sleep(0)

    creating.cancel()

    await asyncio.gather(creating, return_exceptions=True)
    assert [each.name for each in await vault.keys()] == ["robot"]
    assert [each.name for each in (await vault.ledger()).keys] == ["robot"]


async def test_one_person_has_a_bounded_number_of_logins(box: VaultBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.token_desk.MAX_FAMILIES", 2)
    vault = box.start()
    pairs = []
    for _ in range(3):
        box.clock.advance(1.0)
        pairs.append(await logged_in(vault))

    results = [await vault.refresh(pair.refresh, "", ()) for pair in pairs]

    assert [isinstance(result, TokenPair) for result in results] == [False, True, True]


async def test_without_tokens_in_the_configuration_none_are_issued(tmp_path: Path) -> None:
    settings = auth_settings()
    vault = VaultBox(None, type(settings)(api_keys=settings.api_keys)).start()

    assert isinstance(await vault.log_in(ADA), Declined)
    assert isinstance(await vault.issue(CI, 1.0), Declined)
    assert await vault.refresh("o1r_x", "", ()) is GrantFault.GRANT
    assert isinstance(await vault.create_key("robot", (), (), None), Shown)
    assert isinstance(await vault.revoke(Target.SUBJECT, "eve"), Revocation)


async def test_who_a_caller_is_is_stated_for_one_audience_only_and_is_no_access_token(box: VaultBox) -> None:
    vault = box.start()
    principal = Principal(subject="corp:ada", issuer=URL, kind=Kind.TOKEN)

    statement = await vault.statement(principal.key, (), "https://sts.example/token")

    assert isinstance(statement, str)
    keys = {key["kid"]: jwt.PyJWK(key) for key in msgspec.json.decode((await vault.ledger()).jwks)["keys"]}
    header = jwt.get_unverified_header(statement)
    options = {"verify_exp": False, "verify_iat": False}
    key = keys[header["kid"]]
    claims = jwt.decode(statement, key, [key.algorithm_name], options, audience="https://sts.example/token", issuer=URL)
    assert (claims["sub"], claims["sub_id"]["iss"], header["typ"]) == ("corp:ada", URL, "JWT")
    assert claims["exp"] - claims["iat"] <= 61
    assert not {"scope", "groups", "client_id"} & claims.keys()


@pytest.mark.parametrize(
    ("principal", "issuers"),
    [
        (Principal(subject="ada", issuer="https://other.example", kind=Kind.TOKEN), ()),
        (Principal(subject="ada", issuer=URL, kind=Kind.TOKEN), ("https://other.example",)),
        (Principal(subject="ci", issuer="", kind=Kind.KEY), ()),
        (ANONYMOUS, ()),
    ],
)
async def test_nothing_is_stated_of_who_has_no_token_of_the_issuers_that_are_meant(
    box: VaultBox, principal: Principal, issuers: tuple[str, ...]
) -> None:
    made = await box.start().statement(principal.key, issuers, "https://sts.example/token")

    assert isinstance(made, Declined)
    assert made.no is No.WRONG
