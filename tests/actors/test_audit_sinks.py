"""Syslog and OTLP: where the lines of the audit go besides."""

import asyncio
import json
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from actors import otlp
from actors.otlp import Otlp, headers_of, request_of
from actors.syslog import MAX_BYTES, Syslog
from tests.support.audit import NOW, chain
from tests.support.bus import until

LINES = [line[:-1] for line in chain(3)]
FORM = re.compile(rb"<110>1 (\S+) (\S+) only1mcp \d+ audit - \xef\xbb\xbf(.*)", re.DOTALL)


async def test_each_line_is_one_datagram_in_the_form_of_rfc_5424() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10.0)
        syslog = Syslog(f"127.0.0.1:{receiver.getsockname()[1]}", lambda: NOW, "my host")

        syslog.take(LINES)
        await syslog.close()

        got = [FORM.fullmatch(receiver.recv(65_536)) for _ in LINES]
    assert [match and match.groups() for match in got] == [
        (b"2026-07-28T12:00:00+00:00", b"myhost", line) for line in LINES
    ]
    assert syslog.dropped() == 0


async def test_a_socket_of_the_machine_serves_as_well(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(10.0)
        syslog = Syslog(path)

        syslog.take(LINES[:1])
        await syslog.close()

        assert receiver.recv(65_536).endswith(LINES[0])


async def test_what_nobody_receives_is_counted_and_a_receiver_that_comes_back_is_found(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    syslog = Syslog(path)
    syslog.take(LINES)
    lost = 0

    def all_lost() -> bool:
        nonlocal lost
        lost += syslog.dropped()
        return lost == 3

    await until(all_lost)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(10.0)
        syslog.take(LINES[:1])
        await syslog.close()

        assert receiver.recv(65_536).endswith(LINES[0])
    assert syslog.dropped() == 0


def test_a_message_has_a_largest_size() -> None:
    assert len(Syslog("/nowhere", lambda: datetime.now(UTC)).message(b"x" * 100_000)) == MAX_BYTES


class Collector:
    """An OTLP endpoint that answers what a test says."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        status = self.statuses.pop(0) if self.statuses else 200
        if not status:
            raise httpx.ConnectError("refused")
        return httpx.Response(status, json={})

    def otlp(self, **environ: str) -> Otlp:
        return Otlp("http://collector/v1/logs", environ, self.sleep, httpx.MockTransport(self.answer))


def bodies(request: httpx.Request) -> list[str]:
    (resource,) = json.loads(request.content)["resourceLogs"]
    (scope,) = resource["scopeLogs"]
    return [record["body"]["stringValue"] for record in scope["logRecords"]]


async def test_lines_are_log_records_with_their_time_and_what_is_said_of_them() -> None:
    collector = Collector()
    sink = collector.otlp(OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20abc, x-tenant=7")

    sink.take(LINES)
    await sink.close()

    (request,) = collector.asked
    record: dict[str, Any] = request_of(LINES)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][1]
    assert bodies(request) == [line.decode() for line in LINES]
    assert (request.headers["authorization"], request.headers["x-tenant"]) == ("Bearer abc", "7")
    assert record["timeUnixNano"] == str(int(NOW.timestamp()) * 10**9)
    assert {"key": "audit.name", "value": {"stringValue": "tool-1"}} in record["attributes"]
    assert sink.dropped() == 0


async def test_a_collector_that_is_busy_or_away_is_asked_again_after_longer_and_longer_pauses() -> None:
    collector = Collector(503, 0, 429)
    sink = collector.otlp()

    sink.take(LINES)
    await sink.close()

    assert [bodies(request) for request in collector.asked] == [[line.decode() for line in LINES]] * 4
    assert collector.slept == [1.0, 2.0, 4.0]
    assert sink.dropped() == 0


async def test_what_a_collector_does_not_want_is_dropped_and_counted() -> None:
    collector = Collector(400)
    sink = collector.otlp()

    sink.take(LINES)
    await sink.close()

    assert len(collector.asked) == 1
    assert sink.dropped() == 3


async def test_what_finds_no_room_is_dropped_and_counted_and_nothing_waits() -> None:
    collector = Collector()
    sink = collector.otlp()

    sink.take(LINES[:1] * (otlp.MAX_WAITING + 5))

    assert sink.dropped() == 5
    await sink.close()
    assert sum(len(bodies(request)) for request in collector.asked) == otlp.MAX_WAITING


def test_headers_without_a_name_are_none() -> None:
    assert headers_of({}) == {}
    assert headers_of({"OTEL_EXPORTER_OTLP_HEADERS": "=x,,a=b%3Dc"}) == {"a": "b=c"}
