import io
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.api_key import hash_of
from actors.core.auth_settings import ApiKeySettings, AuthSettings
from actors.core.principal import MAX_CREDENTIAL_BYTES, Kind, Principal, Refusal, Verdict
from serve_app.auth import Auth
from serve_app.cli.keys import key

KEYS = tuple(ApiKeySettings(name=name, hash=hash_of(f"o1m_{name}")) for name in ("first", "second", "third"))
AUTH = Auth(AuthSettings(api_keys=KEYS, verdict_seconds=42.0))


@pytest.mark.parametrize("name", ["first", "second", "third"])
async def test_a_configured_key_is_recognised_by_its_name(name: str) -> None:
    verdict = await AUTH.verify(f"o1m_{name}")

    assert verdict == Verdict(Principal(name, "", Kind.KEY), None, 42.0)


@pytest.mark.parametrize("credential", ["", "o1m_firs", "o1m_first ", "O1M_FIRST", KEYS[0].hash, "ключ", "\ud800"])
async def test_any_other_key_is_unknown(credential: str) -> None:
    verdict = await AUTH.verify(credential)

    assert verdict == Verdict(None, Refusal.UNKNOWN, 10.0)


async def test_a_key_with_two_dots_is_a_key_if_it_is_configured() -> None:
    auth = Auth(AuthSettings(api_keys=(ApiKeySettings(name="dotted", hash=hash_of("a.b.c")),)))

    assert (await auth.verify("a.b.c")).principal == Principal("dotted", "", Kind.KEY)


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
    assert (await auth.verify(made)).principal == Principal("new", "", Kind.KEY)


def test_each_printed_key_is_new_and_made_of_256_random_bits() -> None:
    asked: list[int] = []
    first, second = io.StringIO(), io.StringIO()

    key(first, lambda size: (asked.append(size), secrets.token_urlsafe(size))[1])
    key(second)

    assert asked == [32]
    assert first.getvalue() != second.getvalue()
