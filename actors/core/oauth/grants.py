"""The forms that ask for a token: the gateway's own, or one in exchange for who a caller is."""

from collections.abc import Sequence
from typing import Final

from actors.core.credential_settings import CredentialSettings

EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a word, not a secret
ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def client_form(scopes: Sequence[str], resource: str) -> dict[str, str]:
    """For the gateway's own token (RFC 6749, 4.4.2; RFC 8707)."""
    return _with_scopes({"grant_type": "client_credentials", "resource": resource}, scopes)


def exchange_form(
    settings: CredentialSettings, subject_token: str, scopes: Sequence[str], resource: str
) -> dict[str, str]:
    """For a token that stands for a caller (RFC 8693, 2.1). Where an audience is configured, no resource is named
    that is not."""
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject_token,
        "subject_token_type": JWT,
        "requested_token_type": ACCESS_TOKEN,
    }
    if settings.audience is not None:
        form["audience"] = settings.audience
    if settings.audience is None or settings.resource is not None:
        form["resource"] = resource
    return _with_scopes(form, scopes)


def code_form(code: str, verifier: str, redirect_uri: str, resource: str) -> dict[str, str]:
    """For the token of a user who has just agreed (RFC 6749, 4.1.3; RFC 7636, 4.5; RFC 8707)."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri,
        "resource": resource,
    }


def refresh_form(refresh_token: str, resource: str) -> dict[str, str]:
    """For another token in place of one that ends (RFC 6749, 6), good for as much as that."""
    return {"grant_type": "refresh_token", "refresh_token": refresh_token, "resource": resource}


def _with_scopes(form: dict[str, str], scopes: Sequence[str]) -> dict[str, str]:
    return {**form, "scope": " ".join(scopes)} if scopes else form
