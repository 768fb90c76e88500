"""Asks an issuer about tokens, which may be opaque (RFC 7662).

What strangers send must not become a flood there: few questions are asked at once, and few a second about tokens that
never were good. Answers are remembered for a short time, and by a keyed digest of the token.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec

from actors.core.auth_settings import IntrospectionSettings
from actors.core.expiring import Expiring
from actors.core.json_once import decode_object
from actors.core.limit_settings import RateSettings
from actors.core.limits.token_bucket import TokenBucket
from actors.core.principal import Refusal
from actors.reachability import Reachability
from serve_app.fetch import post_form

Post = Callable[[str, Mapping[str, str], str], Awaitable[bytes]]
"""Posts a form with an `Authorization` header, and raises `OSError` if there is no answer."""

MAX_QUESTIONS: Final = 16
"""At once, to one issuer."""

STRANGERS: Final = RateSettings(name="strangers", calls=20, seconds=1.0, burst=100)
"""Questions about tokens that were not good lately."""

KNOWN_SECONDS: Final = 3600.0
"""For so long after it was good a token is none of a stranger's, so that strangers cannot keep it from being asked."""

MAX_REMEMBERED: Final = 10_000


class Statement(msgspec.Struct, frozen=True):
    """What an issuer says of a token that is active."""

    said: Mapping[str, Any]
    until: float
    """The time from which it must be asked again, by the clock of `Introspection`."""


Answer = Statement | Refusal


class Introspection:
    """What one issuer says of tokens. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        issuer: str,
        settings: IntrospectionSettings,
        clock: Callable[[], float],
        post: Post = post_form,
        *,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._issuer = issuer
        self._settings = settings
        self._clock = clock
        self._post = post
        self._digest_key = token_bytes(32)
        self._answers: Expiring[bytes, Statement] = Expiring(MAX_REMEMBERED)
        self._refused: Expiring[bytes, Refusal] = Expiring(MAX_REMEMBERED)
        self._good: Expiring[bytes, bool] = Expiring(MAX_REMEMBERED)
        self._pending: dict[bytes, asyncio.Task[Answer]] = {}
        self._strangers = TokenBucket(STRANGERS, clock())
        self._endpoint = Reachability("introspection_reachable", "introspection_unavailable", issuer=issuer)

    @property
    def always(self) -> bool:
        """Whether the issuer is to be asked about tokens that it has signed, too."""
        return self._settings.always

    async def ask(self, token: str) -> Answer:
        """What the issuer says of a token.

        `Refusal.UNKNOWN` if that it is not good; `Refusal.UNAVAILABLE` if it says nothing, or enough is being asked.
        """
        digest = hashlib.blake2b(token.encode(), digest_size=16, key=self._digest_key).digest()
        now = self._clock()
        known = self._answers.get(digest, now) or self._refused.get(digest, now)
        if known is not None:
            return known
        task = self._pending.get(digest)
        if task is None:
            if not self._may_ask(digest, now):
                return Refusal.UNAVAILABLE
            task = asyncio.create_task(self._question(token, digest))
            self._pending[digest] = task
            task.add_done_callback(lambda _: self._pending.pop(digest))
        return await asyncio.shield(task)  # several ingress replicas may wait for it

    def _may_ask(self, digest: bytes, now: float) -> bool:
        if len(self._pending) >= MAX_QUESTIONS:
            return False
        if self._good.get(digest, now):
            return True
        if self._strangers.ask(now) > 0:
            return False
        self._strangers.take()
        return True

    async def _question(self, token: str, digest: bytes) -> Answer:
        form = {"token": token, "token_type_hint": "access_token"}
        until = self._clock() + self._settings.cache_seconds
        try:
            said = decode_object(await self._post(self._settings.url, form, _basic(self._settings)))
            if said is None or not isinstance(said.get("active"), bool):
                raise ConnectionError("not an answer to the question")
        except OSError as error:
            self._endpoint.missed(str(error))
            return Refusal.UNAVAILABLE
        self._endpoint.reached()
        if not said["active"]:
            self._refused.put(digest, Refusal.UNKNOWN, until=until)
            return Refusal.UNKNOWN
        self._good.put(digest, True, until=until + KNOWN_SECONDS)
        statement = Statement(said, until)
        self._answers.put(digest, statement, until=until)
        return statement


def _basic(settings: IntrospectionSettings) -> str:
    """`client_secret_basic` (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
