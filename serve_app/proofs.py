"""Checks the proofs that come with tokens which are bound to a key (DPoP, RFC 9449), at the ingress.

A proof is worth one request: its `jti` is remembered for as long as its time is near. That memory is this replica's.
Another ingress replica would take the same proof once more, for the same verb, URL and token, within the window.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Final

import jwt

from actors.core.expiring import Expiring
from actors.core.proof import ALGORITHMS, WINDOW_SECONDS, Proof, fits, read_proof, thumbprint
from serve_app.http import Scope
from serve_app.own_url import OwnUrl
from serve_app.signing_keys import from_jwk

MAX_REMEMBERED: Final = 100_000
"""Proofs within the window; more than one replica can check in that time. Beyond it the oldest are forgotten."""


class Proofs:
    """Decides whether a request proves that its sender has a key. `clock` gives Unix seconds."""

    def __init__(
        self, own_url: OwnUrl, clock: Callable[[], float] = time.time, *, max_remembered: int = MAX_REMEMBERED
    ) -> None:
        self._own_url = own_url
        self._clock = clock
        self._seen: Expiring[bytes, bool] = Expiring(max_remembered)
        self._tokens = jwt.PyJWS(ALGORITHMS, {"verify_signature": True, "enforce_minimum_key_length": True})

    def accept(self, text: bytes, token: bytes, key_thumbprint: str, scope: Scope) -> bool:
        """Whether a proof is good, and was not used before. Rungs, in order; strangers do not come past the second.

        1. It is for this request and this token, and from now.
        2. Its key is the one that the token is bound to.
        3. That key signed it.
        4. It is new here.
        """
        now = self._clock()
        url = self._own_url.of(scope)
        proof = read_proof(text.decode("latin-1"))
        if proof is None or url is None:
            return False
        if not fits(proof, method=scope.get("method", "GET"), url=url, token=token, now=now):
            return False
        name = thumbprint(proof.jwk)
        if name is None or name != key_thumbprint:
            return False
        return self._is_signed(text, proof) and self._is_new(proof, name, now)

    def _is_signed(self, text: bytes, proof: Proof) -> bool:
        key = from_jwk(proof.jwk)
        if key is None or key.algorithm != proof.alg:
            return False
        try:
            self._tokens.decode_complete(text, key.material, [key.algorithm])
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return False
        return True

    def _is_new(self, proof: Proof, name: str, now: float) -> bool:
        digest = hashlib.blake2b(f"{name} {proof.jti}".encode(), digest_size=16).digest()
        if self._seen.get(digest, now):
            return False
        self._seen.put(digest, True, until=proof.iat + 2 * WINDOW_SECONDS)  # a clock that steps back must not help
        return True
