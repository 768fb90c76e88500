"""`only1mcp test`: connects to one server as the gateway would, and says what it offers."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from actors.connect import connect
from actors.conversation import Conversation
from actors.core import jsonrpc
from actors.core.endpoints import HttpEndpoint
from actors.core.hidden_text import HiddenText
from actors.core.listing import Facts, Item, Listing
from actors.core.rules import SettingsError
from actors.core.screening import Pin, screen
from actors.core.settings import BackendSettings
from actors.upstream.asking import UpstreamError
from serve_app.cli.desk import TOKEN_VARIABLE, DeskError, login_token
from serve_app.config import ConfigError, load
from serve_app.config.description import printable

FAILED: Final = 1
WRONG: Final = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one trial."""

    facts: Facts
    listing: Listing
    seconds: float


def of_file(name: str, path: Path, environ: Mapping[str, str]) -> list[BackendSettings]:
    """What to connect to for a server of a file: to each URL, if it has a pool of them.

    Raises:
        DeskError: the file cannot be used, or has no such server.
    """
    try:
        backends = load(path, environ).settings.backends
    except ConfigError as error:
        raise DeskError(str(error), WRONG) from None
    found = next((backend for backend in backends if backend.name == name), None)
    if found is None:
        known = ", ".join(backend.name for backend in backends)
        raise DeskError(f"{path} has no server {name!r}; it has {known}", WRONG)
    return [found.of_slot(slot)[0] for slot in range(max(len(found.urls), 1))]


def of_gateway(name: str, url: str, environ: Mapping[str, str]) -> list[BackendSettings]:
    """What to connect to for a server behind a gateway; `url` is the gateway's.

    Raises:
        DeskError: there can be no server of that name, or no such URL; or see `login_token`.
    """
    token = environ.get(TOKEN_VARIABLE, "").strip() or login_token(url)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        return [BackendSettings(name=name, endpoint=HttpEndpoint(url=f"{url}/servers/{name}/mcp", headers=headers))]
    except SettingsError as error:
        raise DeskError(f"{name!r}: {error}", WRONG) from None


def trial(servers: list[BackendSettings], out: TextIO) -> int:
    """Connect to each and print what came of it. Returns the exit code: 0 if all is well, else 1."""
    code = 0
    for settings in servers:
        found = asyncio.run(find_out(settings))
        if isinstance(found, str):
            code = FAILED
            out.write(f"{settings.name}: {found}\n")
        else:
            out.writelines(f"{line}\n" for line in _report(settings.name, found))
    return code


async def find_out(settings: BackendSettings, clock: Callable[[], float] = time.monotonic) -> Finding | str:
    """What a server offers, or why that cannot be found out."""
    began = clock()
    try:
        async with asyncio.timeout(settings.start_timeout), Conversation(settings, connect, lambda _: None) as talk:
            try:
                upstream = await talk.open(None)
                listing = await upstream.list_everything(Listing())
            except (OSError, UpstreamError) as error:
                return talk.last_words or str(error) or type(error).__name__
            return Finding(upstream.facts, listing, clock() - began)
    except TimeoutError:
        return f"it has not said what it offers after {settings.start_timeout:g} s"


def _report(name: str, found: Finding) -> list[str]:
    listing = found.listing
    groups = {
        "tool": listing.tools,
        "resource": listing.resources,
        "template": listing.templates,
        "prompt": listing.prompts,
    }
    numbers = {kind: len(items) for kind, items in groups.items() if items}
    offered = ", ".join(f"{number} {kind}{'s' * (number > 1)}" for kind, number in numbers.items()) or "nothing"
    info = jsonrpc.value(found.facts.server_info)
    itself = " ".join(str(info[key]) for key in ("name", "version") if info.get(key))
    return [
        printable(f"{name}: {offered} after {found.seconds:.2f} s, revision {found.facts.revision}, {itself}"),
        *(printable(f"  {kind}s: {_names(items)}") for kind, items in groups.items() if items),
        *(printable(f"  hidden text: {line}") for line in hidden(found)),
    ]


def hidden(found: Finding) -> list[str]:
    """What of the lists and instructions people do not see and models read."""
    screened = screen(found.listing, found.facts, Pin.OFF, HiddenText.FLAG, None)
    return [f"{' '.join(filter(None, (each.kind, each.name)))} ({each.what})" for each in screened.findings]


def _names(items: tuple[Item, ...]) -> str:
    return ", ".join(item.identity for item in items)
