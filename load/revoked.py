"""How soon a revoked token is refused everywhere: `python -m load.revoked` revokes some while they are used.

A gateway with two ingress replicas issues them. Callers use each without a pause, and see when it was last accepted:
what counts is when such a call began, after the question of the one who revoked it, and after the answer.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from load.calls import Era, Wire
from load.steady import TOOL, gateway
from tests.support.guarded import AUDIENCE, ISSUER, SECRET, token
from tests.support.processes import listening

CALLERS: Final = 8
REPLICAS: Final = 2

IN_A_ROW: Final = 20
"""Refusals that each caller sees before it is taken for sure."""

LIMIT_SECONDS: Final = 30.0
"""For one revocation."""


async def last_accepted(http: httpx.AsyncClient, url: str, credential: str) -> float:
    """Call until it is refused for good; gives when the last call began that was not, by the monotonic clock."""
    wire, accepted, refused = Wire(Era.MODERN, TOOL, credential=credential), 0.0, 0
    while refused < IN_A_ROW:
        question, began = wire.call(), time.monotonic()
        answer = await http.post(url, content=question.body, headers=question.headers)
        if answer.status_code == 200:
            accepted, refused = began, 0
        elif answer.status_code == 401:
            refused += 1
        else:
            raise RuntimeError(f"a call was answered with {answer.status_code}")
    return accepted


async def revoke_one(http: httpx.AsyncClient, url: str, admin: dict[str, str], subject: str) -> tuple[float, float]:
    """How many seconds after its revocation was asked for, and answered, a new token was accepted for the last time."""
    split = urlsplit(url)
    desk = f"{split.scheme}://{split.netloc}/api/v1/admin"
    issued = await http.post(f"{desk}/tokens", json={"subject": subject}, headers=admin)
    credential = f"Bearer {issued.raise_for_status().json()['token']}"
    async with asyncio.timeout(LIMIT_SECONDS):
        callers = [asyncio.create_task(last_accepted(http, url, credential)) for _ in range(CALLERS)]
        await asyncio.sleep(0.5)  # until every replica knows it
        asked = time.monotonic()
        (await http.post(f"{desk}/revocations", json={"subject": subject}, headers=admin)).raise_for_status()
        answered = time.monotonic()
        last = max(await asyncio.gather(*callers))
        return max(0.0, last - asked), max(0.0, last - answered)


async def measure(url: str, admin: dict[str, str], tokens: int) -> int:
    """Revoke so many, and print what came of it; gives the exit code."""
    limits = httpx.Limits(max_connections=2 * CALLERS)
    async with httpx.AsyncClient(timeout=LIMIT_SECONDS, limits=limits, trust_env=False) as http:
        late = [await revoke_one(http, url, admin, f"service-{number}") for number in range(tokens)]
    print(f"{tokens} tokens revoked while {CALLERS} callers used each, {REPLICAS} ingress replicas")
    for what, seconds in zip(("question", "answer"), zip(*late, strict=True), strict=True):
        print(f"accepted after the {what} for {median(seconds) * 1e3:.0f} ms (at most {max(seconds) * 1e3:.0f} ms)")
    return 0


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=20)
    tokens: int = parser.parse_args().tokens
    admin = f"Bearer {token(sub='root', scope='only1mcp:admin')}"
    with (
        tempfile.TemporaryDirectory(prefix="only1mcp-load-") as name,
        listening("tests.support.echo_server", "--http", "0") as server,
    ):
        key = Path(name, "secret")
        key.write_text(SECRET)
        issuer = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "key_file": str(key)}
        sections: dict[str, Any] = {"auth": {"issuers": [issuer], "tokens": {}, "public_url": "http://127.0.0.1"}}
        try:
            with gateway({"url": server.url}, REPLICAS, sections, admin) as url:
                return asyncio.run(measure(url, {"Authorization": admin}, tokens))
        except (OSError, RuntimeError, httpx.HTTPError) as error:
            print(f"load.revoked: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
