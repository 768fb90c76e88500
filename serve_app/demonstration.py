"""A small MCP server to try the gateway with: `python -m serve_app.demonstration`, over its standard streams.

It is what the gateway starts when it has no configuration. It needs no network, keeps nothing, and speaks both eras.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # a sixth of the start would go into searching the imports below for garbage, and there is none

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

LONGEST_COUNTDOWN_SECONDS: Final = 120.0
"""A countdown holds a call open; longer than this only a mistake would ask for."""

ABOUT: Final = """\
This is the demonstration server of only1mcp. Put your own servers into a configuration file and it goes away.

Tools: echo, now, convert, checksum, countdown. Resources: demo://about and demo://greetings/{language}.
Prompt: explain_gateway.
"""

GREETINGS: Final = {"de": "Guten Tag", "en": "Hello", "es": "Hola", "fr": "Bonjour", "ja": "こんにちは"}

Unit = Literal["m", "km", "ft", "mi", "g", "kg", "oz", "lb", "s", "min", "h", "d", "B", "KiB", "MiB", "GiB"]

UNITS: Final[dict[str, tuple[str, float]]] = {
    "m": ("length", 1.0),
    "km": ("length", 1000.0),
    "ft": ("length", 0.3048),
    "mi": ("length", 1609.344),
    "g": ("mass", 1.0),
    "kg": ("mass", 1000.0),
    "oz": ("mass", 28.349523125),
    "lb": ("mass", 453.59237),
    "s": ("time", 1.0),
    "min": ("time", 60.0),
    "h": ("time", 3600.0),
    "d": ("time", 86400.0),
    "B": ("data", 1.0),
    "KiB": ("data", 1024.0),
    "MiB": ("data", 1024.0**2),
    "GiB": ("data", 1024.0**3),
}
"""What each unit measures, and how many of the first unit of that kind it is."""

PURE: Final = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
"""Same arguments, same answer, nothing changed: a client may call such a tool without asking."""

CHANGING: Final = PURE.model_copy(update={"idempotent_hint": False})
"""Changes nothing, but the next answer will differ."""

server: Final = MCPServer(
    "only1mcp-demonstration",
    title="only1mcp demonstration",
    instructions="A few harmless tools to see that the gateway works. Start with `echo` or `countdown`.",
    version="1",
    log_level="WARNING",
)


class Moment(BaseModel):
    """A point in time."""

    iso: str = Field(description="Date and time with offset, ISO 8601")
    zone: str = Field(description="The time zone asked for")
    unix: float = Field(description="Seconds since 1970-01-01T00:00Z")


class Conversion(BaseModel):
    """An amount in another unit."""

    value: float
    unit: str
    measures: str = Field(description="What both units measure, such as length")


class Checksum(BaseModel):
    """A digest of a text."""

    sha256: str = Field(description="64 hexadecimal digits")
    size: int = Field(description="Bytes of the text in UTF-8")


@server.tool(annotations=PURE, structured_output=False)
def echo(text: Annotated[str, Field(description="What to say back")]) -> str:
    """Say the text back, unchanged. The quickest way to see that a call arrives."""
    return text


@server.tool(annotations=CHANGING)
def now(
    zone: Annotated[str, Field(description="IANA time zone, such as Europe/Paris", max_length=64)] = "UTC",
) -> Moment:
    """Tell the date and time in a time zone."""
    moment = datetime.now(UTC)
    if zone != "UTC":
        try:
            moment = moment.astimezone(ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown; malformed; a folder of the zone database
            raise ToolError(f"there is no time zone {zone!r}; use a name such as Europe/Paris") from None
    return Moment(iso=moment.isoformat(timespec="milliseconds"), zone=zone, unix=moment.timestamp())


@server.tool(annotations=PURE)
def convert(
    value: Annotated[float, Field(description="The amount", allow_inf_nan=False)],
    source: Annotated[Unit, Field(description="The unit it is in")],
    target: Annotated[Unit, Field(description="The unit you want; it must measure the same")],
) -> Conversion:
    """Convert an amount between units of length, mass, time or data."""
    measures, per_source = UNITS[source]
    target_measures, per_target = UNITS[target]
    if measures != target_measures:
        raise ToolError(f"{source} measures {measures} and {target} measures {target_measures}")
    return Conversion(value=value * per_source / per_target, unit=target, measures=measures)


@server.tool(annotations=PURE)
def checksum(text: Annotated[str, Field(description="The text to digest, taken as UTF-8")]) -> Checksum:
    """Compute the SHA-256 checksum of a text."""
    data = text.encode()
    return Checksum(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


@server.tool(annotations=CHANGING, structured_output=False)
async def countdown(
    ctx: Context,
    steps: Annotated[int, Field(description="How many steps to count", ge=1, le=100)] = 5,
    interval: Annotated[float, Field(description="Seconds from one step to the next", ge=0, le=60)] = 1.0,
) -> str:
    """Count down, reporting progress at each step. Takes `steps` times `interval` seconds and can be cancelled."""
    if steps * interval > LONGEST_COUNTDOWN_SECONDS:
        raise ToolError(f"that would take longer than {LONGEST_COUNTDOWN_SECONDS:g} seconds")
    for done in range(1, steps + 1):
        await asyncio.sleep(interval)
        await ctx.report_progress(done, steps, f"{steps - done} to go")
    return f"counted {steps} steps"


@server.resource("demo://about", title="About this server", mime_type="text/plain")
def about() -> str:
    """What this server is and what it offers."""
    return ABOUT


@server.resource("demo://greetings/{language}", title="A greeting", mime_type="text/plain")
def greeting(language: str) -> str:
    """A greeting in the language with this two-letter code: de, en, es, fr or ja."""
    return GREETINGS.get(language, f"No greeting is known for {language!r}.")


@server.prompt(title="Explain the gateway")
def explain_gateway(audience: str = "a developer who is new to MCP") -> str:
    """Ask for a short explanation of what an MCP gateway is for."""
    return (
        f"Explain to {audience}, in three sentences, why one would put a gateway between MCP clients and MCP servers. "
        "Then call the `echo` tool with the word `hello` and say what that shows."
    )


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    server.run("stdio")
