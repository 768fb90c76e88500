"""Every kind of client with every kind of server: what works, what is lost, and what is impossible with which error."""

import asyncio
import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.cross_era_client import ANSWERS, Client
from tests.support.cross_era_items import ITEMS
from tests.support.cross_era_pair import slow_call
from tests.support.cross_era_sdk import FOUND, SdkVisit
from tests.support.cross_era_survey import (
    APART,
    CLIENTS,
    MODERN,
    SERVERS,
    Cell,
    Findings,
    Kind,
    survey,
    visitors,
)
from tests.support.cross_era_table import table, written
from tests.support.cross_era_verdict import ABSENT, Loss, Verdict, impossible, lost
from tests.support.gateway_process import GatewayProcess
from tests.support.npm import NODE, installed
from tests.support.processes import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SDK_SECONDS = 90.0
QUESTIONS = {"log", "elicit", "elicit by URL", "sample", "roots"}
NOT_DECLARED = {
    "handshake era": "-32601 the client of this call did not declare that it can be asked this: elicitation/create",
    MODERN: "-32021 the client did not declare that it can be asked this: elicitation/create",
}
ELSEWHERE = "-32601 the client of this call cannot be asked during completion/complete"
PATIENT = Kind("2025-11-25", "streamable HTTP")


@pytest.fixture(scope="module")
def found(running: GatewayProcess) -> Findings:
    return asyncio.run(survey(running))


def expected(client: Kind, server: str, item: str) -> Verdict:
    """What the revisions allow. Rungs, in order; those before the last decide for themselves.

    1. Forms came with 2025-06-18, pages with 2025-11-25.
    2. A modern client can be asked only during calls; a modern server does not ask elsewhere.
    3. Otherwise it works, with losses.
    """
    era = SERVERS[server].revision
    if (item == "elicit" and client.revision < "2025-06-18") or (
        item == "elicit by URL" and client.revision < "2025-11-25"
    ):
        return impossible(NOT_DECLARED[era])
    if item == "ask elsewhere" and MODERN in (client.revision, era):
        return ABSENT if era == MODERN else impossible(ELSEWHERE)
    return lost(*losses(client, server, item))


def losses(client: Kind, server: str, item: str) -> Iterator[Loss]:
    """What is missed where it works."""
    kind = SERVERS[server]
    older = client.revision < MODERN and kind.revision == MODERN
    if item == "list" and older:
        yield Loss.SCHEMAS
    if item == "call" and older:
        yield Loss.VALUES
    if item == "call" and client.revision < "2025-06-18":
        yield Loss.BLOCKS
    if item == "elicit" and client.revision < "2025-11-25":
        yield Loss.TITLES
    if item == "elicit by URL" and client.revision < MODERN:
        yield Loss.DONE
    # over one pipe nothing says which call a message belongs to, and the SDK asks for roots on no call's stream at all
    one_pipe = kind.over in ("stdio", "HTTP+SSE")
    if kind.revision != MODERN and item in QUESTIONS and (one_pipe or item == "roots"):
        yield Loss.ALONE
    if kind.revision == MODERN and item == "log" and one_pipe:
        yield Loss.ALONE
    if client.revision == MODERN and kind.revision != MODERN and item in QUESTIONS - {"log"}:
        yield Loss.OPEN


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS, ids=" over ".join)
def test_every_kind_of_client_works_with_every_kind_of_server_as_far_as_can_be(
    found: Findings, client: Kind, server: str
) -> None:
    seen = {item: found[Cell(client, server, item)] for item in ITEMS}

    assert seen == {item: expected(client, server, item) for item in ITEMS}


def test_the_table_in_the_readme_is_what_was_found(found: Findings) -> None:
    assert written((ROOT / "README.md").read_text()) == table(found)


async def test_with_a_process_for_each_session_many_can_be_asked_at_once_and_each_answer_is_its_own(
    running: GatewayProcess,
) -> None:
    async with (
        visitors(running) as all_visitors,
        all_visitors.visit(PATIENT, APART) as bystander,
        slow_call(bystander),
        asyncio.TaskGroup() as group,
    ):

        async def ask(name: str, tool: str, method: str) -> None:
            async with all_visitors.visit(PATIENT, APART) as client:
                client.answers = answers_of(name)
                assert json.loads((await client.call(tool)).text) == {"asked": client.answers[method]}
                await logs_of_its_own(client, name)

        for name, tool, method in (
            ("Ada", "ask_form", "elicitation/create"),
            ("Bob", "ask_roots", "roots/list"),
            ("Eve", "ask_sample", "sampling/createMessage"),
        ):
            group.create_task(ask(name, tool, method))


async def logs_of_its_own(client: Client, name: str) -> None:
    assert (await client.call("log", text=name, count=3)).text == "3 messages"
    assert [message["data"]["text"] for message in client.heard("notifications/message")] == [name] * 3


def answers_of(name: str) -> dict[str, dict[str, object]]:
    """Answers that are nobody else's."""
    return {
        "elicitation/create": {"action": "accept", "content": {"name": name}},
        "sampling/createMessage": {**ANSWERS["sampling/createMessage"], "model": name},
        "roots/list": {"roots": [{"uri": f"file:///home/{name}", "name": name}]},
    }


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_python_client_can_do_everything(running: GatewayProcess, mode: str, server: str) -> None:
    async with asyncio.timeout(SDK_SECONDS):
        assert await SdkVisit(running.server_url(server), mode).find() == FOUND


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", ["sdk", "client-legacy", "client-auto"])
def test_the_official_typescript_clients_can_do_everything(
    running: GatewayProcess, typescript: str, client: str, server: str
) -> None:
    script = ROOT / "tests/support/cross_era_sdk.mjs"
    command = [str(NODE), str(script), typescript, client, running.server_url(server)]

    run = subprocess.run(command, timeout=SDK_SECONDS, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == FOUND


@pytest.fixture(scope="module")
def typescript() -> str:
    return str(installed(ROOT / "tests/support/cross_era_npm"))
