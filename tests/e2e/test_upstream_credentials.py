"""Two users call one server through the running command: the server sees each as themselves, and no token of theirs."""

import asyncio
import json
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import jwt
import pytest

from tests.support.gateway_process import gateway
from tests.support.sdk_client import MODERN_HEADERS, modern
from tests.support.token_world import token_world

pytestmark = pytest.mark.e2e

ISSUER = "https://corp.example"
AUDIENCE = "https://gateway.example"
KEY = "a key of thirty-two bytes or more"


def token_of(subject: str) -> str:
    """What a user shows to the gateway."""
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 3600}
    return jwt.encode(said, KEY, "HS256")


async def test_each_user_is_sent_as_themselves_by_a_statement_that_the_gateway_signed(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    async with token_world() as world:
        auth = {
            "kind": "token_exchange",
            "client_id": "gw",
            "client_secret": f"${{file:{tmp_path / 'secret'}}}",
            "token_url": world.token_url,
            "issuers": [ISSUER],
        }
        issuer = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "key_file": str(tmp_path / "key")}
        sections = {"auth": {"issuers": [issuer], "tokens": {}, "public_url": AUDIENCE}}
        world.holder_of = lambda form: (  # type: ignore[method-assign]
            jwt.decode(form["subject_token"], options={"verify_signature": False})["sub"]
            if "subject_token" in form
            else "the gateway"
        )
        with ExitStack() as stack:
            running = await asyncio.to_thread(
                lambda: stack.enter_context(
                    gateway(tmp_path, {"git": {"url": world.url, "auth": auth}}, sections=sections)
                )
            )
            async with httpx.AsyncClient(timeout=30) as client:

                async def call(subject: str) -> str:
                    question = modern("tools/call", name="git__whoami", arguments={"who": subject})
                    routing = {"Mcp-Method": "tools/call", "Mcp-Name": "git__whoami"}
                    credential = {"Authorization": f"Bearer {token_of(subject)}"}
                    answer = await client.post(
                        running.url, json=question, headers={**MODERN_HEADERS, **routing, **credential}
                    )
                    return str(answer.json()["result"]["content"][0]["text"])

                order = ["ada", "bob", "bob", "ada"] * 5
                answers = await asyncio.gather(*(call(subject) for subject in order))
                keys = (await client.get(f"{running.origin}/auth/jwks")).json()
            log = running.output()

    assert answers == order
    assert all(who == holder for who, holder in world.seen)
    stated = [form["subject_token"] for form, _ in world.asked if "subject_token" in form]
    by_kid = {key["kid"]: jwt.PyJWK(key) for key in keys["keys"]}
    for statement in stated:
        key = by_kid[jwt.get_unverified_header(statement)["kid"]]
        said = jwt.decode(statement, key, [key.algorithm_name], audience=world.token_url, issuer=AUDIENCE)
        assert said["sub_id"] == {"format": "iss_sub", "iss": ISSUER, "sub": said["sub"]}
    assert len(stated) == 2
    assert "s3cret" not in log + json.dumps([form for form, _ in world.asked])
    assert not [statement for statement in stated if statement in log]
