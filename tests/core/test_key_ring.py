from hypothesis import given
from hypothesis import strategies as st

from actors.core.auth_settings import TokenSettings
from actors.core.tokens.key_ring import KeyRing, RingKey, longest_seconds, thumbprint

DAY = 86_400.0


def key(kid: str, at: float, algorithm: str = "ES256") -> RingKey:
    return RingKey(kid, algorithm, at, b"{}", "sealed")


def test_a_key_signs_until_it_is_time_for_another() -> None:
    settings = TokenSettings(rotation_seconds=30 * DAY)
    ring = KeyRing((key("a", 0.0),))

    assert ring.current(settings, 30 * DAY - 1) == key("a", 0.0)
    assert ring.current(settings, 30 * DAY) is None


def test_a_key_of_another_algorithm_signs_no_more() -> None:
    ring = KeyRing((key("a", 0.0, "RS256"),))

    assert ring.current(TokenSettings(algorithm="ES256"), 1.0) is None


def test_in_normal_use_as_many_keys_are_kept_as_the_settings_say() -> None:
    settings = TokenSettings(rotation_seconds=30 * DAY, keys_kept=3)
    ring, counts = KeyRing(), []
    for turn in range(8):
        now = turn * 30 * DAY
        ring = ring.with_new(key(str(turn), now), now)
        ring = ring.kept(settings, now + 3600.0)
        counts.append(len(ring.keys))

    assert counts == [1, 2, 3, 3, 3, 3, 3, 3]


@given(
    rotation=st.floats(DAY, 60 * DAY),
    kept=st.integers(1, 5),
    steps=st.lists(st.tuples(st.floats(0.0, 20 * DAY), st.sampled_from(["ES256", "RS256"])), max_size=30),
)
def test_a_token_can_be_verified_for_as_long_as_it_is_good(
    rotation: float, kept: int, steps: list[tuple[float, str]]
) -> None:
    """Time passes, and the configured algorithm changes now and then; each step signs a token of the longest life."""
    ring, now = KeyRing(), 0.0
    good: list[tuple[str, float]] = []
    for pause, algorithm in steps:
        now += pause
        settings = TokenSettings(rotation_seconds=rotation, keys_kept=kept, algorithm=algorithm)
        signing = ring.current(settings, now)
        if signing is None:
            signing = key(f"{now}-{len(good)}", now, algorithm)
            ring = ring.with_new(signing, now)
        ring = ring.kept(settings, now)
        good.append((signing.kid, now + longest_seconds(settings)))

        kids = {each.kid for each in ring.keys}
        assert {kid for kid, until in good if now < until} <= kids


def test_the_id_of_a_key_is_its_thumbprint() -> None:
    # the example of RFC 7638, section 3.1
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
