"""A gateway that lets in only whom it knows, and some not too often, with two ingress replicas; and what it takes."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import jwt

from tests.support.gateway_process import GatewayProcess, gateway, module

KEY: Final = "o1m_the-key-of-the-end-to-end-test"
KEY_HEADER: Final = {"X-API-Key": KEY}

SECRET: Final = "a shared secret of more than thirty-two bytes"
ISSUER: Final = "https://login.example.org"
AUDIENCE: Final = "https://mcp.example.org"

LEGACY: Final = "legacy"
"""The backend that is given; those of the gateway's own are `kept` and `other`, which have one tool each."""

GREEDY: Final = "greedy"
MODEST: Final = "modest"
"""Subjects who may each call `RATE` times a second; the others are under no limit."""

RATE: Final = 50

PATIENT: Final = "patient"
"""A subject who may have `STREAMS` streams, and as many WebSockets."""

STREAMS: Final = 6


def token(**claims: object) -> str:
    """A token of the issuer that is trusted."""
    now = int(time.time())
    return jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now + 3600, **claims}, SECRET, "HS256")


@contextmanager
def guarded_gateway(folder: Path, legacy: dict[str, Any]) -> Iterator[GatewayProcess]:
    """Run it, open to every interface, in front of two servers over stdio and of `legacy`."""
    (folder / "secret").write_text(SECRET)
    auth = {
        "issuers": [{"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "key_file": "secret"}],
        "api_keys": [{"name": "test", "hash": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}],
    }
    echo = module("tests.support.echo_server")
    servers = {"kept": echo, LEGACY: legacy, "other": echo}
    limits = {
        # with a second's burst: a machine that stands still for less lets nothing overflow
        "rates": [{"name": "steady", "calls": RATE, "seconds": 1.0, "burst": RATE, "principals": [GREEDY, MODEST]}],
        "quotas": [{"streams": STREAMS, "websockets": STREAMS, "principals": [PATIENT]}],
    }
    sections = {"auth": auth, "server": {"replicas": 2}, "limits": limits}
    with gateway(folder, servers, sections=sections, arguments=("--host", "0.0.0.0")) as running:
        yield running
