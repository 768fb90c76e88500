import hmac
import string
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from actors.core.auth_settings import AuthSettings, IssuerSettings
from actors.core.principal import Kind, Principal, Refusal, Verdict
from serve_app.auth import Auth
from tests.support.hand_clock import HandClock
from tests.support.tokens import ISSUER, SECRET, claims, ec_key, ed_key, issuer, key_file, pem, rsa_key, segment, token

CLOCK = HandClock()
NOW = CLOCK.now
GENUINE = token(claims(NOW), rsa_key())


def make_auth(*issuers: IssuerSettings) -> Auth:
    return Auth(AuthSettings(issuers=issuers), CLOCK)


@pytest.fixture(scope="module")
def rs256(tmp_path_factory: pytest.TempPathFactory) -> Auth:
    return make_auth(issuer(key_file=key_file(tmp_path_factory.mktemp("rs256"), pem(rsa_key()))))


@pytest.mark.parametrize(
    ("algorithm", "content", "key"),
    [
        ("RS256", pem(rsa_key()), rsa_key()),
        ("ES256", pem(ec_key()), ec_key()),
        ("EdDSA", pem(ed_key()), ed_key()),
        ("HS256", SECRET, SECRET),
        ("HS256", SECRET + b"\n", SECRET),
    ],
)
async def test_a_genuine_token_names_its_principal(tmp_path: Path, algorithm: str, content: bytes, key: Any) -> None:
    auth = make_auth(issuer(algorithms=(algorithm,), key_file=key_file(tmp_path, content)))
    genuine = token(claims(NOW, exp=NOW + 100, scope="tools:call tools:list"), key, algorithm, kid="ignored")

    verdict = await auth.verify(genuine)

    alice = Principal("alice", ISSUER, Kind.TOKEN, ("tools:call", "tools:list"), issued_at=NOW)
    assert verdict == Verdict(alice, None, 130.0)


async def test_the_verdict_on_a_lasting_token_lasts_five_minutes(rs256: Auth) -> None:
    verdict = await rs256.verify(token(claims(NOW, exp=NOW + 86_400), rsa_key()))

    assert verdict.lasts == 300.0


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"exp": NOW - 29}, None),
        ({"exp": NOW - 31}, Refusal.EXPIRED),
        ({"exp": None}, Refusal.INVALID),
        ({"nbf": NOW + 31}, Refusal.INVALID),
        ({"iat": NOW + 31}, Refusal.INVALID),
        ({"aud": None}, Refusal.INVALID),
        ({"aud": "https://other.example"}, Refusal.INVALID),
        ({"aud": ["https://other.example", "https://gateway.example"]}, Refusal.INVALID),
        ({"aud": ["https://other.example", "https://gateway.example/mcp"]}, None),
        ({"sub": None}, Refusal.INVALID),
        ({"iss": "https://other.example"}, Refusal.UNKNOWN),
        ({"iss": None}, Refusal.INVALID),
    ],
)
async def test_a_signed_token_needs_the_right_claims(
    rs256: Auth, changes: dict[str, Any], refusal: Refusal | None
) -> None:
    verdict = await rs256.verify(token(claims(NOW, **changes), rsa_key()))

    assert verdict.refusal is refusal
    assert (verdict.principal is None) == (refusal is not None)


async def test_a_token_expires_while_we_watch(rs256: Auth) -> None:
    clock = HandClock()
    auth = Auth(rs256._settings, clock)

    before = await auth.verify(GENUINE)
    clock.advance(631)
    after = await auth.verify(GENUINE)

    assert before.principal is not None
    assert after == Verdict(None, Refusal.EXPIRED, 10.0)


async def test_an_expired_forgery_is_invalid_and_not_expired(rs256: Auth) -> None:
    verdict = await rs256.verify(token(claims(NOW, exp=NOW - 9999), rsa_key("forger")))

    assert verdict.refusal is Refusal.INVALID


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "RS257", "HS256"])
async def test_a_token_without_a_signature_is_refused(rs256: Auth, algorithm: str) -> None:
    header = segment({"alg": algorithm, "typ": "JWT"})
    payload = segment(claims(NOW))

    for signature in ("", segment(b"anything")):
        assert (await rs256.verify(f"{header}.{payload}.{signature}")).refusal is Refusal.INVALID


async def test_a_public_key_is_never_taken_for_a_shared_secret(rs256: Auth) -> None:
    signed = f"{segment({'alg': 'HS256'})}.{segment(claims(NOW))}"
    confusion = f"{signed}.{segment(hmac.digest(pem(rsa_key()), signed.encode(), 'sha256'))}"

    assert (await rs256.verify(confusion)).refusal is Refusal.INVALID


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_an_algorithm_outside_the_list_is_refused_though_the_key_is_right(rs256: Auth, algorithm: str) -> None:
    assert (await rs256.verify(token(claims(NOW), rsa_key(), algorithm))).refusal is Refusal.INVALID


async def test_a_key_is_used_for_its_own_algorithm_only(tmp_path: Path) -> None:
    auth = make_auth(issuer(algorithms=("RS256", "ES256"), key_file=key_file(tmp_path, pem(rsa_key()))))

    assert (await auth.verify(token(claims(NOW), ec_key(), "ES256"))).refusal is Refusal.INVALID
    assert (await auth.verify(GENUINE)).principal is not None


async def test_one_issuer_cannot_sign_for_another(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine = issuer(key_file=key_file(tmp_path, pem(rsa_key())))
    other = issuer(issuer="https://other.example", key_file=key_file(tmp_path / "other", pem(rsa_key("other"))))
    auth = make_auth(mine, other)

    assert (await auth.verify(token(claims(NOW), rsa_key("other")))).refusal is Refusal.INVALID
    assert (await auth.verify(token(claims(NOW, iss=other.issuer), rsa_key("other")))).principal is not None


@pytest.mark.parametrize("header", [{"crit": ["x"], "x": 1}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"kid": 7}])
async def test_a_header_we_do_not_understand_is_refused(rs256: Auth, header: dict[str, Any]) -> None:
    genuine = token(claims(NOW), rsa_key())
    rest = genuine.partition(".")[2]

    verdict = await rs256.verify(f"{segment({'alg': 'RS256', **header})}.{rest}")

    assert verdict.refusal is Refusal.INVALID


async def test_a_critical_extension_is_refused_though_it_is_signed(rs256: Auth) -> None:
    signed = token(claims(NOW), rsa_key(), x="1")
    critical = token(claims(NOW), rsa_key(), crit=["x"], x="1")

    assert (await rs256.verify(signed)).principal is not None
    assert (await rs256.verify(critical)).refusal is Refusal.INVALID


async def test_a_signed_payload_nested_too_deeply_is_refused(rs256: Auth) -> None:
    deep = segment(b"[" * 5000)

    assert (await rs256.verify(f"{segment({'alg': 'RS256'})}.{deep}.x")).refusal is Refusal.INVALID
    assert (await rs256.verify(f"{deep}.{segment(claims(NOW))}.x")).refusal is Refusal.INVALID


@given(place=st.integers(0, len(GENUINE) - 1), character=st.sampled_from(string.ascii_letters + ".-_=é {"))
async def test_no_change_to_what_was_signed_is_accepted(rs256: Auth, place: int, character: str) -> None:
    changed = GENUINE[:place] + character + GENUINE[place + 1 :]

    verdict = await rs256.verify(changed)

    signed = changed.rpartition(".")[0] == GENUINE.rpartition(".")[0]
    assert verdict.principal is None or signed  # base64 has spare bits, so a signature can be written in two ways


@pytest.mark.parametrize(
    ("algorithms", "content", "complaint"),
    [
        (("HS256",), b"short", "at least 32 bytes"),
        (("HS256",), pem(rsa_key()), "not a PEM key"),
        (("RS256",), b"not a key", "is not a PEM public key"),
        (("RS256",), pem(rsa_key("weak", 1024)), "too weak"),
        (("ES256",), pem(rsa_key()), "not one for ES256"),
        (("ES256",), pem(ec_key("wide", ec.SECP384R1)), "not one for ES256"),
        (("EdDSA",), pem(Ed448PrivateKey.generate()), "not one for EdDSA"),
        (
            ("RS256",),
            rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "is not a PEM public key",
        ),
    ],
)
def test_a_key_file_that_does_not_suit_its_issuer_stops_the_start(
    tmp_path: Path, algorithms: tuple[str, ...], content: bytes, complaint: str
) -> None:
    settings = issuer(algorithms=algorithms, key_file=key_file(tmp_path, content))

    with pytest.raises(ValueError, match=complaint):
        make_auth(settings)
