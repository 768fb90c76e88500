import io
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.api_key import hash_of
from actors.core.auth_settings import ApiKeySettings, AuthSettings
from actors.core.principal import MAX_CREDENTIAL_BYTES, Kind, Refusal, Verdict
from actors.core.tokens.key_record import key_principal
from serve_app.auth import Auth
from serve_app.cli.keys import key
from tests.support.hand_clock import HandClock

KEYS = tuple(ApiKeySettings(name=name, hash=hash_of(f"o1m_{name}")) for name in ("first", "second", "third"))
AUTH = Auth(AuthSettings(api_keys=KEYS, verdict_seconds=42.0))


@pytest.mark.parametrize("name", ["first", "second", "third"])
async def test_a_configured_key_is_recognised_by_its_name(name: str) -> None:
    verdict = await AUTH.verify(f"o1m_{name}")

    assert verdict == Verdict(key_principal(name, hash_of(f"o1m_{name}"), (), ()), None, 42.0)


@pytest.mark.parametrize("credential", ["", "o1m_firs", "o1m_first ", "O1M_FIRST", KEYS[0].hash, "ключ", "\ud800"])
async def test_any_other_key_is_unknown(credential: str) -> None:
    verdict = await AUTH.verify(credential)

    assert verdict == Verdict(None, Refusal.UNKNOWN, 10.0)


async def test_a_key_gives_what_its_settings_say() -> None:
    settings = ApiKeySettings(name="robot", hash=hash_of("o1m_robot"), scopes=("mcp",), groups=("bots",))
    auth = Auth(AuthSettings(api_keys=(settings,)))

    principal = (await auth.verify("o1m_robot")).principal

    assert principal is not None
    assert (principal.kind, principal.client) == (Kind.KEY, "robot")
    assert (principal.scopes, principal.groups) == (("mcp",), ("bots",))
    assert principal.token_id in settings.hash
    assert principal.token_id


async def test_a_key_is_worth_nothing_from_the_moment_it_expires() -> None:
    settings = ApiKeySettings(name="robot", hash=hash_of("o1m_robot"), expires="2027-01-31")
    assert settings.expires_at is not None
    clock = HandClock(settings.expires_at - 5.0)
    auth = Auth(AuthSettings(api_keys=(settings,)), clock)

    before = await auth.verify("o1m_robot")
    clock.advance(5.0)
    after = await auth.verify("o1m_robot")

    assert before.principal is not None
    assert before.lasts == 5.0
    assert after.refusal is Refusal.EXPIRED


async def test_a_key_with_two_dots_is_a_key_if_it_is_configured() -> None:
    auth = Auth(AuthSettings(api_keys=(ApiKeySettings(name="dotted", hash=hash_of("a.b.c")),)))

    assert (await auth.verify("a.b.c")).principal == key_principal("dotted", hash_of("a.b.c"), (), ())


async def test_a_credential_over_the_limit_is_refused_unread() -> None:
    long = "k" * (MAX_CREDENTIAL_BYTES + 1)
    auth = Auth(AuthSettings(api_keys=(ApiKeySettings(name="long", hash=hash_of(long)),)))

    assert (await auth.verify(long)).refusal is Refusal.INVALID


@given(credential=st.text())
async def test_no_text_is_ever_accepted_or_makes_auth_fail(credential: str) -> None:
    verdict = await AUTH.verify(credential)

    assert verdict.principal is None
    assert verdict.refusal in (Refusal.UNKNOWN, Refusal.INVALID)


async def test_the_printed_key_is_accepted_with_the_printed_hash() -> None:
    out = io.StringIO()

    code = key(out)

    lines = [line.strip() for line in out.getvalue().splitlines()]
    made = next(line for line in lines if line.startswith("o1m_"))
    stored = next(line for line in lines if line.startswith("hash:")).removeprefix("hash:").strip(' "')
    auth = Auth(AuthSettings(api_keys=(ApiKeySettings(name="new", hash=stored),)))
    assert code == 0
    assert (await auth.verify(made)).principal == key_principal("new", stored, (), ())


def test_each_printed_key_is_new_and_made_of_256_random_bits() -> None:
    asked: list[int] = []
    first, second = io.StringIO(), io.StringIO()

    key(first, lambda size: (asked.append(size), secrets.token_urlsafe(size))[1])
    key(second)

    assert asked == [32]
    assert first.getvalue() != second.getvalue()
