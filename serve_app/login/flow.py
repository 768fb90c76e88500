"""A login by authorization code with a proof key (RFC 6749, 7636, 8252; OpenID Connect Core 1.0, section 3.1)."""

from collections.abc import Callable
from typing import Final

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from actors.core.oauth.provider_metadata import ProviderMetadata, metadata_url, read_provider
from actors.core.rules import url_rule
from serve_app.login.gateway_door import DoorError, GatewayDoor, NewTokens, ask
from serve_app.login.redirect import Redirect
from serve_app.oauth.logins import Offered

LOGIN_SECONDS: Final = 300.0
"""For a person with a password, a second factor, and perhaps a first look at both."""

SECRET_CHARS: Final = 48


def log_in(
    door: GatewayDoor, offered: Offered, send: Callable[[str], None], seconds: float = LOGIN_SECONDS
) -> NewTokens:
    """Have a person log in, and give the gateway's tokens for them; `send` sends them to a URL.

    Raises:
        DoorError: the provider cannot be asked, or the gateway refuses what comes of it.
        RedirectError: see `Redirect.wait`.
    """
    metadata = _metadata_of(offered)
    state, nonce, verifier = (generate_token(SECRET_CHARS) for _ in range(3))
    names = metadata.authorization_response_iss_parameter_supported
    with Redirect() as redirect:
        redirect.expect(state, offered.issuer, names_issuer=names)
        send(
            prepare_grant_uri(
                metadata.authorization_endpoint,
                offered.client_id,
                "code",
                redirect_uri=redirect.url,
                scope=" ".join(offered.scopes),
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
            )
        )
        code = redirect.wait(seconds)
    return door.tokens(
        {
            "grant_type": "authorization_code",
            "provider": offered.name,
            "code": code,
            "code_verifier": verifier,
            "nonce": nonce,
            "redirect_uri": redirect.url,
        }
    )


def _metadata_of(offered: Offered) -> ProviderMetadata:
    _, well, _ = url_rule("issuer", offered.issuer, instead="")
    if not well:
        raise DoorError("the gateway names a provider that is no URL")
    status, body = ask("GET", metadata_url(offered.issuer), trust_env=True)
    if status != 200:
        raise DoorError(f"the provider {offered.name} says nothing of itself: status {status}")
    try:
        return read_provider(body, offered.issuer)
    except ValueError as error:
        raise DoorError(f"the provider {offered.name} cannot be used: {error}") from None
