"""What authorization servers and servers say is read strictly, and what is sent to them says no more than it must."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.credential_settings import CredentialKind, CredentialSettings
from actors.core.oauth.challenge import NONE, Challenge, read_challenge
from actors.core.oauth.grants import client_form, exchange_form
from actors.core.oauth.metadata import covers, read_resource, read_server, resource_urls, server_urls
from actors.core.oauth.statement import identity_of
from actors.core.oauth.token_answer import DEFAULT_SECONDS, MAX_SECONDS, read_token
from actors.core.principal import Kind, Principal
from actors.core.rules import SettingsError

SERVER = "https://mcp.example/a/mcp"


@pytest.mark.parametrize(
    ("values", "challenge"),
    [
        ([], NONE),
        (['Basic realm="x"'], NONE),
        (["Bearer"], NONE),
        (
            ['Bearer realm="a, b", resource_metadata="https://m.example/x", scope="read  write"'],
            Challenge("https://m.example/x", ("read", "write")),
        ),
        (['bearer error="insufficient_scope", scope=admin'], Challenge(None, ("admin",), "insufficient_scope")),
        (['Basic scope="no", Bearer scope="a\\"b"'], Challenge(None, ('a"b',))),
        (['Basic scope="no"', 'Bearer scope="yes"', 'DPoP scope="no"'], Challenge(None, ("yes",))),
        (['Bearer scope="first", scope="second"'], Challenge(None, ("first",))),
        (["Bearer scope=" + "a" * 9000], NONE),
    ],
)
def test_a_challenge_is_that_of_the_bearer_scheme(values: list[str], challenge: Challenge):
    assert read_challenge(values) == challenge


@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_header_is_read_without_an_error(values: list[str]):
    assert isinstance(read_challenge(values), Challenge)


def test_metadata_is_looked_for_where_the_specification_says():
    assert resource_urls(SERVER) == (
        "https://mcp.example/.well-known/oauth-protected-resource/a/mcp",
        "https://mcp.example/.well-known/oauth-protected-resource",
    )
    assert server_urls("https://as.example/t/") == (
        "https://as.example/.well-known/oauth-authorization-server/t",
        "https://as.example/.well-known/openid-configuration/t",
        "https://as.example/t/.well-known/openid-configuration",
    )
    assert server_urls("https://as.example") == (
        "https://as.example/.well-known/oauth-authorization-server",
        "https://as.example/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    ("resource", "well"),
    [
        (SERVER, True),
        ("https://MCP.example:443/a", True),
        ("https://mcp.example", True),
        ("https://mcp.example/", True),
        ("https://mcp.example/a/mc", False),
        ("https://mcp.example/a/mcp/more", False),
        ("http://mcp.example/a/mcp", False),
        ("https://other.example/a/mcp", False),
        ("https://mcp.example/a#x", False),
        ("urn:x", False),
    ],
)
def test_what_a_server_says_of_itself_must_be_about_itself(resource: str, well: bool):
    assert covers(resource, SERVER) is well
    body = b'{"resource":"%s"}' % resource.encode()

    if well:
        assert read_resource(body, SERVER).resource == resource
    else:
        with pytest.raises(ValueError, match="about another resource"):
            read_resource(body, SERVER)


def test_the_metadata_of_one_issuer_is_not_taken_for_that_of_another():
    body = b'{"issuer":"https://evil.example","token_endpoint":"https://evil.example/t"}'

    with pytest.raises(ValueError, match="of another issuer"):
        read_server(body, "https://as.example")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[" * 5000, b'{"issuer":1}', b"\xff"])
def test_what_is_no_metadata_is_refused(body: bytes):
    with pytest.raises(ValueError, match="not of the form"):
        read_server(body, "https://as.example")
    with pytest.raises(ValueError, match="not of the form"):
        read_resource(body, SERVER)


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [
        ("", DEFAULT_SECONDS),
        (',"expires_in":60', 60.0),
        (',"expires_in":"60"', 60.0),
        (',"expires_in":-1', 0.0),
        (',"expires_in":1e99', MAX_SECONDS),
    ],
)
def test_a_token_is_good_for_as_long_as_its_answer_says_within_limits(expires: str, seconds: float):
    token = read_token(f'{{"access_token":"abc","token_type":"bearer"{expires}}}'.encode())

    assert (token.text, token.seconds) == ("abc", seconds)
    assert "abc" not in repr(token)


@pytest.mark.parametrize(
    "body",
    [
        b"no",
        b'{"access_token":"secret-x"}',
        b'{"access_token":"","token_type":"Bearer"}',
        b'{"access_token":"secret-x","token_type":"DPoP"}',
        b'{"access_token":"secret-x\\r\\nHost: y","token_type":"Bearer"}',
        b'{"access_token":"secret-%s","token_type":"Bearer"}' % (b"x" * 20_000),
    ],
)
def test_an_answer_without_a_usable_token_is_refused_and_not_repeated(body: bytes):
    with pytest.raises(ValueError, match="token") as raised:
        read_token(body)

    assert "secret" not in str(raised.value)


@given(st.sampled_from(Kind), st.text(max_size=12), st.text(max_size=12))
def test_an_identity_is_read_back_from_its_key_and_only_of_who_has_a_token(kind: Kind, issuer: str, subject: str):
    found = identity_of(Principal(subject=subject, issuer=issuer, kind=kind).key)

    assert found == ((issuer, subject) if kind is Kind.TOKEN and issuer and subject else None)


@given(st.text(max_size=30))
def test_no_text_imitates_an_identity(text: str):
    found = identity_of(text)

    assert found is None or Principal(subject=found[1], issuer=found[0], kind=Kind.TOKEN).key == text


def exchanged(**changes: object) -> CredentialSettings:
    given_ = {"client_id": "gw", "client_secret": "s", "token_url": "https://sts.example/t", **changes}
    return CredentialSettings(kind=CredentialKind.TOKEN_EXCHANGE, **given_)  # type: ignore[arg-type]


def test_a_request_for_a_token_names_the_server_and_only_the_scopes_there_are():
    assert client_form((), SERVER) == {"grant_type": "client_credentials", "resource": SERVER}
    assert client_form(("a", "b"), SERVER)["scope"] == "a b"
    assert exchange_form(exchanged(), "stated", (), SERVER) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "stated",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": SERVER,
    }


def test_who_configures_an_audience_names_a_resource_only_by_configuring_it_too():
    by_audience = exchange_form(exchanged(audience="srv"), "stated", (), SERVER)
    by_both = exchange_form(exchanged(audience="srv", resource=SERVER), "stated", (), SERVER)

    assert (by_audience["audience"], by_audience.get("resource")) == ("srv", None)
    assert (by_both["audience"], by_both["resource"]) == ("srv", SERVER)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"client_secret": None}, "needs either client_secret or private_key"),
        ({"private_key": "k"}, "needs either client_secret or private_key"),
        ({"client_secret": ""}, "client_secret must not be empty"),
        ({"token_url": None}, "a secret is sent nowhere else"),
        ({"issuer": "https://as.example"}, "must not have both token_url and issuer"),
        ({"audience": "x"}, "audience belongs to token_exchange"),
        ({"issuers": ("x",)}, "issuers belongs to token_exchange"),
        ({"scopes": ("a b",)}, "scopes must be words"),
        ({"client_id": " "}, "client_id must not be empty"),
        ({"algorithm": "HS256"}, "algorithm must be one of"),
        ({"token_url": "ftp://x"}, "token_url must begin with"),
    ],
)
def test_credentials_that_cannot_work_or_could_leak_are_refused(changes: dict[str, object], sentence: str):
    good = {"client_id": "gw", "client_secret": "top", "token_url": "https://as.example/t"}

    with pytest.raises(SettingsError, match=sentence) as raised:
        CredentialSettings(kind=CredentialKind.CLIENT_CREDENTIALS, **{**good, **changes})  # type: ignore[arg-type]

    assert "top" not in str(raised.value)


def test_an_exchange_has_a_configured_place():
    with pytest.raises(SettingsError, match="needs the token_url of the service that exchanges"):
        exchanged(token_url=None, issuer="https://as.example")
