"""What reaches the ingress through HAProxy, and what does not."""

import asyncio
import json
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from actors.core.settings import ServerSettings
from actors.core.tls_settings import TlsSettings
from serve_app.door_tls import DoorTls, faults, write_tls
from serve_app.environment import haproxy_available
from serve_app.haproxy_keeper import PEM_FILE, SOCKET_FILE
from serve_app.peer import HAPROXY_VARIABLE, SECRET_VARIABLE, Whence
from tests.support.certificates import Authority, Files
from tests.support.processes import eventually
from tests.support.real_door import SECRET, RealDoor, real_door

pytestmark = pytest.mark.skipif(not haproxy_available(), reason="there is no HAProxy for this machine")

WHENCE = Whence(ServerSettings(trusted_proxies=("192.0.2.0/24",)), {HAPROXY_VARIABLE: "1", SECRET_VARIABLE: SECRET})
CLOSE = b"Host: localhost\r\nConnection: close\r\n"


class Mirror:
    """An app that says what it saw; `/endless` answers without an end."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.gone = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        start: Any = {"type": "http.response.start", "status": 200, "headers": [(b"server", b"mirror")]}
        if scope["path"] == "/endless":
            await self._without_end(start, receive, send)
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        names = [name.decode() for name, _ in scope["headers"]]
        page = {"ip": WHENCE(scope), "names": names, "body": body.decode("latin-1")}
        answer = json.dumps(page).encode()
        start["headers"].append((b"content-length", b"%d" % len(answer)))
        await send(start)
        await send({"type": "http.response.body", "body": answer})

    async def _without_end(self, start: Any, receive: Any, send: Any) -> None:
        async def speak() -> None:
            await send(start)
            while not self.gone.is_set():
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

        speaking = asyncio.create_task(speak())
        while (await receive())["type"] != "http.disconnect":
            continue
        self.gone.set()
        await speaking


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as HAProxy demands of its sockets."""
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as made:
        yield Path(made)


@asynccontextmanager
async def mirrored(folder: Path, *, hurried: bool = False) -> AsyncIterator[tuple[RealDoor, Mirror]]:
    mirror = Mirror()
    async with real_door(mirror, folder, hurried=hurried) as door:
        yield door, mirror


def page_of(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    return json.loads(body)


async def test_the_ingress_hears_whom_haproxy_saw_and_no_client_can_say_otherwise(folder: Path) -> None:
    lies = (
        f"X-Only1mcp-Peer: {SECRET} 192.0.2.1\r\nX-ONLY1MCP-PEER: 192.0.2.2\r\nX-Forwarded-For: 192.0.2.3\r\n".encode()
    )
    async with mirrored(folder) as (door, _):
        answer = await door.say(b"GET / HTTP/1.1\r\n" + lies + CLOSE + b"\r\n")
        async with httpx.AsyncClient(trust_env=False) as client:
            around = await client.get(f"http://127.0.0.1:{door.app_port}/", headers={"x-only1mcp-peer": "127.0.0.1"})

    told = page_of(answer)
    assert told["ip"] == "127.0.0.1"
    assert told["names"].count("x-only1mcp-peer") == 1
    assert b"\r\nserver:" not in answer.lower(), "nobody needs to know what software this is"
    assert around.json()["ip"] == ""


AMBIGUOUS = [
    b"Content-Length: 3\r\nContent-Length: 4\r\n",
    b"Content-Length: 3x\r\n",
    b"Content-Length: -3\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked, chunked\r\n",
    b"Content-Length : 3\r\n",
    b"X: a\rb\r\n",
    b"X: a\0b\r\n",
    b"X: " + b"a" * 20_000 + b"\r\n",
    b"X: a\r\n" * 200,
]


async def test_what_two_readers_would_cut_differently_is_refused(folder: Path) -> None:
    async with mirrored(folder) as (door, mirror):
        begins = [
            (await door.say(b"POST /one HTTP/1.1\r\n" + CLOSE + head + b"\r\nabcGET /two HTTP/1.1\r\n\r\n"))[:10]
            for head in AMBIGUOUS
        ]

    assert begins == [b"HTTP/1.1 4"] * len(AMBIGUOUS)
    assert not {"/one", "/two"} & set(mirror.seen)


async def test_of_two_lengths_one_counts_at_both_ends_and_no_request_is_smuggled(folder: Path) -> None:
    smuggled = b"0\r\n\r\nGET /two HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(smuggled)
    async with mirrored(folder) as (door, mirror):
        answer = await door.say(b"POST /one HTTP/1.1\r\n" + CLOSE + head + b"\r\n" + smuggled)

    assert page_of(answer)["body"] == ""
    assert "content-length" not in page_of(answer)["names"]
    assert "/two" not in mirror.seen


async def test_statistics_and_metrics_are_not_to_be_had_from_elsewhere(folder: Path) -> None:
    async with mirrored(folder) as (door, _):
        held = psutil.Process(door.process.pid).net_connections("inet")
        listening = {each.laddr.port: each.laddr.ip for each in held if each.status == psutil.CONN_LISTEN}

    assert len(listening) == 3
    assert door.stats_port in listening
    assert set(listening.values()) == {"127.0.0.1"}


async def test_who_takes_for_ever_with_a_head_is_cut_off(folder: Path) -> None:
    async with mirrored(folder, hurried=True) as (door, mirror):
        answer = await door.say(b"GET /slow HTTP/1.1\r\nHost: local")

    assert answer.startswith(b"HTTP/1.1 408")
    assert mirror.seen.count("/slow") == 0


async def test_who_does_not_read_an_answer_is_cut_off_and_the_app_is_told(folder: Path) -> None:
    async with mirrored(folder, hurried=True) as (door, mirror):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1024)
        writer.write(b"GET /endless HTTP/1.1\r\n" + CLOSE + b"\r\n")
        await reader.readexactly(8)
        async with asyncio.timeout(30):
            await mirror.gone.wait()
        writer.transport.abort()


def written(folder: Path, files: Files, **more: Any) -> TlsSettings:
    tls = TlsSettings(certificate=str(files.certificate), key=str(files.key), **more)
    write_tls(folder, tls)
    return tls


def trusting(authority: Authority, own: Files | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


async def fetched(door: RealDoor, context: ssl.SSLContext) -> Any:
    async with httpx.AsyncClient(trust_env=False, verify=context) as client:
        return (await client.get(f"https://127.0.0.1:{door.port}/")).json()


def certificate_at(port: int, context: ssl.SSLContext) -> str:
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
    ):
        found: Any = encrypted.getpeercert()
        return str(dict(pair[0] for pair in found["subject"])["commonName"])


async def test_clients_come_with_tls_and_not_without(folder: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    written(folder, authority.sign("one"), min_version="1.3")
    old = trusting(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with mirrored(folder) as (door, mirror):
        told = await fetched(door, trusting(authority))
        plain = await door.say(b"GET /plain HTTP/1.1\r\n" + CLOSE + b"\r\n")
        with pytest.raises(httpx.ConnectError):
            await fetched(door, ssl.create_default_context())
        with pytest.raises(httpx.ConnectError):
            await fetched(door, old)

    assert told["ip"] == "127.0.0.1"
    assert not plain.startswith(b"HTTP/1.1 2")
    assert "/plain" not in mirror.seen
    assert (folder / PEM_FILE).stat().st_mode & 0o777 == 0o600


async def test_where_clients_need_a_certificate_only_they_come_in_and_the_user_of_the_machine(
    folder: Path, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    written(folder, authority.sign("one"), client_ca=str(authority.file))
    async with mirrored(folder) as (door, _):
        known = await fetched(door, trusting(authority, authority.sign("client")))
        for context in (trusting(authority), trusting(authority, other.sign("stranger"))):
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await fetched(door, context)
        way = httpx.AsyncHTTPTransport(uds=str(folder / SOCKET_FILE))
        async with httpx.AsyncClient(trust_env=False, transport=way) as client:
            inside = (await client.get("http://localhost/")).json()
        mode = (folder / SOCKET_FILE).stat().st_mode & 0o777

    assert (known["ip"], inside["ip"]) == ("127.0.0.1", "127.0.0.1")
    assert mode == 0o600


async def test_new_files_are_spoken_with_at_once_and_no_connection_is_lost(folder: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = written(folder, authority.sign("before", "door"), client_ca=str(authority.file))
    context = trusting(authority, authority.sign("client"))
    looks = asyncio.Semaphore(0)

    async def sleep(_seconds: float) -> None:
        await looks.acquire()

    async with mirrored(folder) as (door, _):
        follow = asyncio.create_task(DoorTls(tls, folder, sleep).follow())
        before = await asyncio.to_thread(certificate_at, door.port, context)
        async with httpx.AsyncClient(trust_env=False, verify=context) as client:
            await client.get(f"https://127.0.0.1:{door.port}/")
            (tmp_path / "door.key").write_text("half a key")
            looks.release()
            authority.sign("after", "door")
            looks.release()
            await eventually(lambda: certificate_at(door.port, context) == "after")
            again = await client.get(f"https://127.0.0.1:{door.port}/")
        follow.cancel()

    assert before == "before"
    assert again.status_code == 200


def test_files_that_do_not_fit_are_named_and_not_shown(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.sign("one"), authority.sign("two")
    garbage = tmp_path / "garbage"
    garbage.write_text("a secret")

    def sentences(certificate: Path, key: Path, client_ca: Path | None = None) -> dict[str, str]:
        ca = None if client_ca is None else str(client_ca)
        return dict(faults(TlsSettings(certificate=str(certificate), key=str(key), client_ca=ca)))

    assert sentences(one.certificate, one.key, authority.file) == {}
    assert set(sentences(one.certificate, two.key)) == {"certificate"}
    assert set(sentences(garbage, garbage)) == {"certificate"}
    assert set(sentences(one.certificate, one.key, garbage)) == {"client_ca"}
    assert sentences(tmp_path / "none", one.key) == {"certificate": "is not a file"}
    assert "a secret" not in str(sentences(garbage, garbage))
