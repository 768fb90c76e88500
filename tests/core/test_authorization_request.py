"""The way of a user to an authorization server and back says what it must, and is believed only if it is that way."""

from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.oauth.agreement import MAX_SCOPES, agreed, read_agreement, union
from actors.core.oauth.authorization_request import (
    authorization_url,
    challenge_of,
    issuer_fault,
    redirect_fault,
    server_fault,
    verifier_of,
)
from actors.core.oauth.client import BASIC, NO_PROOF, POST, Client
from actors.core.oauth.metadata import ServerMetadata
from actors.core.oauth.registration import chosen_method, client_document, read_registered, read_registration
from actors.core.oauth.token_answer import AccessToken

PAGE = "https://as.example/authorize"
BACK = "https://gw.example/connect/callback"
SERVER = "https://mcp.example/mcp"

words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)


def url_to(page: str = PAGE, **changes: object) -> str:
    fields = {"client_id": "gw", "redirect_uri": BACK, "verifier": "v" * 43, "state": "sealed", "resource": SERVER}
    return authorization_url(page, **{**fields, "scopes": (), **changes})  # type: ignore[arg-type]


def test_the_proof_key_is_that_of_the_example_in_rfc_7636():
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@given(st.binary(min_size=32, max_size=32))
def test_a_proof_key_has_the_length_and_the_letters_of_rfc_7636(raw: bytes):
    verifier = verifier_of(raw)

    assert len(verifier) == 43
    assert set(verifier) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(
    state=words, resource=words, client_id=words, scopes=st.lists(words.map(lambda w: w.replace("&", "x")), max_size=3)
)
def test_whatever_is_asked_for_arrives_as_it_is_and_the_proof_key_does_not(
    state: str, resource: str, client_id: str, scopes: list[str]
):
    verifier = "verifier-that-stays-here-and-is-long-enough-43"

    url = url_to(
        f"{PAGE}?tenant=1", state=state, resource=resource, client_id=client_id, scopes=scopes, verifier=verifier
    )

    asked = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert asked.pop("scope", [""]) == [" ".join(scopes)]
    assert asked == {
        "tenant": ["1"],
        "response_type": ["code"],
        "client_id": [client_id],
        "redirect_uri": [BACK],
        "code_challenge": [challenge_of(verifier)],
        "code_challenge_method": ["S256"],
        "state": [state],
        "resource": [resource],
    }
    assert verifier not in url


@pytest.mark.parametrize(
    "page",
    [
        f"{PAGE}?redirect_uri=https://evil.example",
        f"{PAGE}?a=1&code_challenge_method=plain",
        f"{PAGE}?request=x",
        f"{PAGE}?scope=all",
        f"{PAGE}#x",
        f"{PAGE}?{'x' * 3000}",
    ],
)
def test_a_page_that_answers_our_questions_itself_is_not_opened(page: str):
    with pytest.raises(ValueError, match="its authorization server"):
        url_to(page)


@pytest.mark.parametrize(
    ("uri", "well"),
    [
        (BACK, True),
        ("http://127.0.0.1:49152/callback", True),
        ("http://[::1]:1/x", True),
        ("http://localhost:8000/x", True),
        ("http://gw.example/connect/callback", False),
        ("http://127.0.0.1.evil.example/x", False),
        ("https://user@gw.example/x", False),
        (f"{BACK}#fragment", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_a_user_is_sent_back_over_tls_or_to_their_own_machine(uri: str, well: bool):
    assert (redirect_fault(uri) == "") is well


@pytest.mark.parametrize(
    ("named", "always", "well"),
    [
        ("https://as.example", True, True),
        ("https://as.example", False, True),
        ("", False, True),
        ("", True, False),
        ("https://evil.example", True, False),
        ("https://evil.example", False, False),
        ("https://as.example/", True, False),
        ("https://AS.example", True, False),
        ("https://as.example:443", False, False),
        ("https://ás.example", False, False),
    ],
)
def test_an_answer_is_of_the_server_that_was_asked_letter_by_letter(named: str, always: bool, well: bool):
    assert (issuer_fault("https://as.example", named, always=always) == "") is well


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, ""),
        ({"authorization_endpoint": None}, "no page for users"),
        ({"code_challenge_methods_supported": None}, "proof keys"),
        ({"code_challenge_methods_supported": ("plain",)}, "proof keys"),
    ],
)
def test_nobody_is_sent_to_a_server_without_proof_keys(changes: dict[str, object], fault: str):
    good = {"authorization_endpoint": PAGE, "code_challenge_methods_supported": ("plain", "S256")}
    server = ServerMetadata("https://as.example", "https://as.example/token", **{**good, **changes})  # type: ignore[arg-type]

    found = server_fault(server)

    assert (fault in found) if fault else found == ""


def test_a_client_says_of_itself_where_it_is_and_that_it_wants_to_stay():
    own = client_document((BACK,))
    command = client_document(("http://127.0.0.1:9/callback",))

    assert own["grant_types"] == ["authorization_code", "refresh_token"]
    assert (own["application_type"], command["application_type"]) == ("web", "native")
    assert (own["redirect_uris"], own["token_endpoint_auth_method"]) == ([BACK], "none")


@pytest.mark.parametrize(
    ("supported", "method"),
    [((BASIC, NO_PROOF), NO_PROOF), ((POST, BASIC), BASIC), ((POST,), POST), (("tls_client_auth",), BASIC)],
)
def test_a_client_that_is_registered_has_a_secret_only_where_it_must(supported: tuple[str, ...], method: str):
    assert chosen_method(supported) == method


@pytest.mark.parametrize(
    ("body", "client"),
    [
        (b'{"client_id":"a"}', Client("a")),
        (b'{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"none"}', Client("a")),
        (
            b'{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"client_secret_post"}',
            Client("a", POST, "s"),
        ),
    ],
)
def test_a_registration_is_read_as_the_server_has_made_it(body: bytes, client: Client):
    assert read_registered(body, NO_PROOF) == client
    assert "secret='s'" not in repr(client)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"client_id":""}',
        b'{"client_id":"a\\n"}',
        b'{"client_id":"a","token_endpoint_auth_method":"client_secret_basic"}',
        b'{"client_id":"a","token_endpoint_auth_method":"private_key_jwt"}',
        b'{"client_id":"%s"}' % (b"x" * 3000),
    ],
)
def test_a_registration_that_could_not_be_used_is_refused(body: bytes):
    with pytest.raises(ValueError, match="its authorization server"):
        read_registered(body, NO_PROOF)


@given(st.binary(max_size=40))
def test_what_was_not_kept_by_us_is_no_agreement_and_no_registration(value: bytes):
    assert read_agreement(value) is None
    assert read_registration(value) is None


def test_an_agreement_is_kept_whole_and_shows_no_token():
    agreement = agreed(
        AccessToken("secret-a", 60.0, "secret-r"), 100.0, resource=SERVER, client=Client("gw"), asked=("read",)
    )

    kept = read_agreement(msgspec.msgpack.encode(agreement.wanting(("write", "read"))))

    assert kept is not None
    assert (kept.access, kept.refresh, kept.expires_at, kept.wanted) == (
        "secret-a",
        "secret-r",
        160.0,
        ("write", "read"),
    )
    assert "secret" not in repr(kept)


def test_a_renewed_token_keeps_the_refresh_token_that_was_not_replaced():
    agreement = agreed(AccessToken("a", 60.0, "r"), 0.0, resource=SERVER, client=Client("gw"), asked=())

    kept, replaced = (
        agreement.renewed(AccessToken("b", 60.0), 50.0),
        agreement.renewed(AccessToken("b", 60.0, "s"), 50.0),
    )

    assert (kept.access, kept.refresh, kept.expires_at) == ("b", "r", 110.0)
    assert replaced.refresh == "s"


@given(st.lists(st.lists(words, max_size=60).map(tuple), max_size=4))
def test_all_scopes_are_asked_for_once_and_not_without_end(scopes: list[tuple[str, ...]]):
    together = union(*scopes)

    assert len(set(together)) == len(together) <= MAX_SCOPES
    if len({each for some in scopes for each in some}) <= MAX_SCOPES:
        assert set(together) == {each for some in scopes for each in some}
