"""Of all who would change a credential one may, and what others carry for the Vault opens for whom it was sealed."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.credential_desk import CredentialDesk
from actors.vault import Vault
from actors.vault_file import open_vault
from tests.support.vault import VaultBox

PLACE = ("ada", "git", "https://id")
SECONDS = 30.0


@pytest.fixture
def box(tmp_path: Path) -> VaultBox:
    return VaultBox(tmp_path / "state.vault")


async def kept(box: VaultBox, value: bytes = b"first") -> Vault:
    vault = box.start()
    assert await vault.put_credential(*PLACE, value)
    return vault


async def test_of_many_at_once_one_has_the_claim_until_it_is_settled(box: VaultBox) -> None:
    vault = await kept(box)

    claims = await asyncio.gather(*(vault.claim_credential(*PLACE, f"h{n}", SECONDS) for n in range(20)))
    winner = f"h{claims.index(True)}"
    stranger = await vault.settle_credential(*PLACE, "somebody", b"stolen")
    settled = await vault.settle_credential(*PLACE, winner, b"second")
    twice = await vault.settle_credential(*PLACE, winner, b"third")

    assert claims.count(True) == 1
    assert (stranger, settled, twice) == (False, True, False)
    assert await vault.credential(*PLACE) == b"second"
    assert await vault.claim_credential(*PLACE, "next", SECONDS)


async def test_a_claim_outlives_the_vault_and_ends_with_its_time(box: VaultBox) -> None:
    await (await kept(box)).claim_credential(*PLACE, "first", SECONDS)
    vault = box.start()

    before = await vault.claim_credential(*PLACE, "second", SECONDS)
    box.clock.advance(SECONDS)
    late = await vault.claim_credential(*PLACE, "second", SECONDS)

    assert (before, late) == (False, True)
    assert not await vault.settle_credential(*PLACE, "first", b"from the past")


async def test_who_is_late_may_still_settle_if_nobody_else_has_begun(box: VaultBox) -> None:
    vault = await kept(box)
    await vault.claim_credential(*PLACE, "slow", SECONDS)

    box.clock.advance(SECONDS + 1)

    assert await vault.settle_credential(*PLACE, "slow", b"second")


@pytest.mark.parametrize("change", ["put", "drop"])
async def test_what_the_user_has_changed_is_not_overwritten_by_who_renews(box: VaultBox, change: str) -> None:
    vault = await kept(box)
    await vault.claim_credential(*PLACE, "renewer", SECONDS)

    if change == "put":
        await vault.put_credential(*PLACE, b"new consent")
    else:
        await vault.drop_credential(*PLACE)
    settled = await vault.settle_credential(*PLACE, "renewer", b"old consent, renewed")

    assert not settled
    assert await vault.credential(*PLACE) == (b"new consent" if change == "put" else None)


async def test_a_credential_can_be_let_go_of_by_who_has_the_claim_and_is_never_too_large(box: VaultBox) -> None:
    vault = await kept(box)
    await vault.claim_credential(*PLACE, "h", SECONDS)

    large = await vault.settle_credential(*PLACE, "h", b"x" * 70_000)
    gone = await vault.settle_credential(*PLACE, "h", None)

    assert (large, gone) == (False, True)
    assert await vault.credential(*PLACE) is None


def test_where_there_is_no_room_for_more_what_is_there_can_still_be_renewed() -> None:
    desk = CredentialDesk(open_vault(None), b"s" * 32, os.urandom, max_credentials=1)
    desk.put(*PLACE, b"first")

    other = desk.put("bob", "git", "https://id", b"x")
    desk.claim_credential("bob", "git", "https://id", "h", SECONDS, 0.0)
    by_claim = desk.settle("bob", "git", "https://id", "h", b"x")
    same = desk.put(*PLACE, b"second")

    assert (other, by_claim, same) == (False, False, True)


async def test_whose_credentials_are_kept_is_known_without_reading_them(box: VaultBox) -> None:
    vault = await kept(box)
    await vault.put_credential("ada", "git", "https://another", b"x")
    await vault.put_credential("bob", "git", "https://bobs", b"x")

    assert await vault.credential_issuers("ada", "git") == ("https://another", "https://id")
    assert await vault.credential_issuers("ada", "other") == ()


async def test_claims_that_are_over_are_let_go_of(box: VaultBox) -> None:
    vault = await kept(box)
    await vault.claim("a", "h", 1.0)
    box.clock.advance(2.0)

    await vault.look_round()

    assert box.files[0].count("claims") == 0


owners = st.text(max_size=8)


@given(owners, owners, owners, owners, st.binary(max_size=50))
def test_a_sealed_text_opens_for_its_principal_and_server_alone(
    principal: str, server: str, other: str, elsewhere: str, payload: bytes
) -> None:
    async def opened() -> tuple[object, object, object]:
        vault = VaultBox(None).start()
        text = await vault.seal(principal, server, payload)
        mine = await vault.unseal(principal, server, text)
        theirs = await vault.unseal(other, elsewhere, text)
        assert mine is not None
        return mine[0], theirs, await VaultBox(None).start(b"t" * 32).unseal(principal, server, text)

    mine, theirs, strange = asyncio.run(opened())

    assert mine == payload
    assert strange is None
    assert (theirs is not None) is ((other, elsewhere) == (principal, server))
