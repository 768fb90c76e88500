"""The gateway, as a login sees it: its providers, and its tokens."""

from collections.abc import Mapping
from typing import Final

import httpx
import msgspec

from actors.core.tokens.own_issuer import REVOCATION_PATH, TOKEN_PATH
from serve_app.oauth.logins import PROVIDERS_PATH, Offered

DOOR_SECONDS: Final = 20.0

MAX_ANSWER_BYTES: Final = 256 * 1024


class DoorError(Exception):
    """It does not work, and why, as a sentence for a person."""


class DoorRefused(DoorError):  # noqa: N818 - what happened
    """The gateway said no, and will again."""


class NewTokens(msgspec.Struct, frozen=True):
    """What the gateway gives (RFC 6749, section 5.1)."""

    access_token: str
    expires_in: float
    refresh_token: str

    def __repr__(self) -> str:
        return "NewTokens"


class _Providers(msgspec.Struct, frozen=True):
    providers: tuple[Offered, ...]


class _Problem(msgspec.Struct, frozen=True):
    error: str = ""
    error_description: str = ""


class GatewayDoor:
    """One gateway at `url`, which has no path."""

    def __init__(self, url: str) -> None:
        self.url = url

    def providers(self) -> tuple[Offered, ...]:
        """Where people can log in.

        Raises:
            DoorError: the gateway does not say.
        """
        status, body = self._ask("GET", PROVIDERS_PATH)
        if status != httpx.codes.OK:
            raise DoorError(f"the gateway at {self.url} has no login: status {status} at {PROVIDERS_PATH}")
        try:
            return msgspec.json.decode(body, type=_Providers).providers
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise DoorError(f"what answers at {self.url} is no gateway of ours") from None

    def tokens(self, form: Mapping[str, str]) -> NewTokens:
        """What the token endpoint gives.

        Raises:
            DoorRefused: it gives nothing for this, now or later.
            DoorError: it cannot be asked now.
        """
        status, body = self._ask("POST", TOKEN_PATH, form)
        if status == httpx.codes.OK:
            try:
                return msgspec.json.decode(body, type=NewTokens)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise DoorError(f"what answers at {self.url} is no gateway of ours") from None
        try:
            problem = msgspec.json.decode(body, type=_Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            problem = _Problem()
        reason = problem.error_description or problem.error or f"status {status}"
        kind = DoorRefused if problem.error and status in (400, 401, 403) else DoorError
        raise kind(f"the gateway refuses the login: {reason}")

    def revoke(self, token: str) -> None:
        """Give a token back (RFC 7009).

        Raises:
            DoorError: it still is worth something.
        """
        status, _ = self._ask("POST", REVOCATION_PATH, {"token": token})
        if status != httpx.codes.OK:
            raise DoorError(f"the gateway has not revoked the login: status {status}")

    def _ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        return ask(method, f"{self.url}{path}", form, trust_env=False)


def ask(method: str, url: str, form: Mapping[str, str] | None = None, *, trust_env: bool) -> tuple[int, bytes]:
    """The status and the body that come back; redirects are not followed.

    Raises:
        DoorError: no complete answer comes, or one that is too large.
    """
    body = bytearray()
    try:
        with (
            httpx.Client(trust_env=trust_env, timeout=DOOR_SECONDS) as client,
            client.stream(method, url, data=form, headers={"accept": "application/json"}) as response,
        ):
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise DoorError(f"{httpx.URL(url).host} answers with too much")
            return response.status_code, bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DoorError(f"nobody answers at {url} ({type(error).__name__})") from None
