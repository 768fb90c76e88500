"""Sends the lines of the audit to an OpenTelemetry collector: OTLP over HTTP, logs, in its JSON encoding."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

import httpx
import msgspec

from actors.core.audit.chain import read_line
from actors.core.identity import VERSION
from actors.reachability import Reachability

MAX_WAITING: Final = 10_000
"""Lines that wait while the collector does not take them; beyond it the newest are dropped."""

MAX_SENT: Final = 512
"""Lines of one request."""

SEND_SECONDS: Final = 10.0
"""How long the collector may take to answer."""

PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before each further attempt, the last one again and again."""

TRY_AGAIN: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses that ask for another attempt (OTLP 1.x, failures); others say that it would be in vain."""

HEADERS_VARIABLE: Final = "OTEL_EXPORTER_OTLP_HEADERS"
"""Where a credential for the collector is given, as `name=value`, by commas, percent-encoded."""

_INFO: Final = 9
_WARN: Final = 13


class Otlp:
    """One collector. Belongs to one event loop."""

    def __init__(
        self,
        url: str,
        environ: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`url` is posted to as it is."""
        self._url = url
        self._sleep = sleep
        self._client = httpx.AsyncClient(
            headers=headers_of(environ), timeout=SEND_SECONDS, trust_env=False, transport=transport
        )
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._sending: asyncio.Task[None] | None = None
        self._collector = Reachability("audit_collector_reachable", "audit_collector_unreachable")

    def take(self, lines: Sequence[bytes]) -> None:
        """Send the lines as soon as the collector takes them."""
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extend(lines[:room])
        self._dropped += max(0, len(lines) - room)
        if self._waiting and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send_all())

    def dropped(self) -> int:
        """How many found no room, or were refused, since this was asked last."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    async def close(self) -> None:
        """Send what waits; whoever does not want to wait cancels."""
        try:
            if self._sending is not None:
                await self._sending
        finally:
            await self._client.aclose()

    async def _send_all(self) -> None:
        attempts = 0
        while self._waiting:
            lines = [self._waiting[at] for at in range(min(MAX_SENT, len(self._waiting)))]
            status = await self._post(lines)
            if status in TRY_AGAIN or status == 0:
                await self._sleep(PAUSES[min(attempts, len(PAUSES) - 1)])
                attempts += 1
                continue
            attempts = 0
            if not 200 <= status < 300:
                self._dropped += len(lines)
            for _ in lines:
                self._waiting.popleft()

    async def _post(self, lines: Sequence[bytes]) -> int:
        """The status of the answer; 0 if there is none."""
        try:
            answer = await self._client.post(self._url, json=request_of(lines))
        except httpx.HTTPError as error:
            self._collector.missed(type(error).__name__)
            return 0
        if answer.is_success:
            self._collector.reached()
        else:
            self._collector.missed(f"status {answer.status_code}")
        return answer.status_code


def request_of(lines: Sequence[bytes]) -> dict[str, Any]:
    """An `ExportLogsServiceRequest`; each line is the body of a record, whole, so that the chain can be followed."""
    resource = {"attributes": [_attribute("service.name", "only1mcp"), _attribute("service.version", VERSION)]}
    records = [_record(line) for line in lines]
    scope = {"scope": {"name": "only1mcp.audit"}, "logRecords": records}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}


def headers_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The headers that the environment has for collectors."""
    pairs = [pair.partition("=") for pair in environ.get(HEADERS_VARIABLE, "").split(",")]
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs if name.strip()}


def _record(line: bytes) -> dict[str, Any]:
    event = msgspec.json.decode(read_line(line).event)
    moment = round(datetime.fromisoformat(event["time"]).timestamp() * 1e6) * 1000
    denied = event.get("decision") == "denied" or event["kind"] == "loss"
    plain = {key: value for key, value in event.items() if isinstance(value, str) and key != "time"}
    return {
        "timeUnixNano": str(moment),
        "severityNumber": _WARN if denied else _INFO,
        "severityText": "WARN" if denied else "INFO",
        "body": {"stringValue": line.decode()},
        "attributes": [_attribute(f"audit.{key}", value) for key, value in plain.items()],
    }


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}
