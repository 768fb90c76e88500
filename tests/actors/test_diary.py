"""What the Router has written into the audit: each end of a session once, and what it found in definitions."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.auditing import Auditing
from actors.core.audit.digest import session_digest
from actors.core.audit_settings import AuditSettings, OnFailure
from actors.core.caller import Caller
from actors.core.client import Client
from actors.core.endpoints import StdioEndpoint
from actors.core.hidden_text import HiddenText
from actors.core.listing import Item, Listing
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.principal import Kind, Principal
from actors.core.screening import Pin
from actors.core.session_end import End
from actors.core.session_state import SessionState, opened
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.diary import Diary, diary_of
from actors.memory import Memory
from actors.router import Router
from actors.store import Store
from serve_app.recording import Recorder
from serve_app.sessions import Sessions
from tests.support.audit import KEY, NOW, WriterDouble
from tests.support.bus import until
from tests.support.control_plane import RecordingMetrics
from tests.support.hand_clock import HandClock

ALICE = Principal("alice", "https://id.example", Kind.TOKEN)
IDLE = 60.0


def session(number: int, endpoint: str = "") -> SessionState:
    return opened(bytes([number]) * 16, f"{endpoint}\0{ALICE.key}", b"{}")


class Book:
    """A Router that writes a diary; it can be started again, with what it kept or with nothing."""

    def __init__(self, **settings: Any) -> None:
        self.clock = HandClock()
        self.writer = WriterDouble()
        self.settings = AuditSettings(**settings)
        self.auditing: Auditing
        self.router: Router
        self._before: list[dict[str, Any]] = []
        """The events of Routers before this one."""
        self.start()

    def start(self, memory: Memory | None = None, *backends: BackendSettings) -> Router:
        if hasattr(self, "auditing"):
            self._before = self.events()
        self.writer = WriterDouble()
        self.auditing = Auditing("router:1", lambda: self.writer, self.settings, self.clock, lambda: NOW)
        self.router = Router(
            backends,
            Naming.QUALIFIED,
            generation="g",
            metrics=RecordingMetrics(),  # type: ignore[arg-type]
            server=ServerSettings(session_idle_seconds=IDLE, max_sessions=2),
            memory=memory,
            diary=Diary(self.auditing, KEY),
            clock=self.clock,
        )
        return self.router

    def ends(self) -> list[tuple[str, str]]:
        """Of each session that ended its digest and why."""
        return [(each["session"], each["detail"]) for each in self.events() if each["kind"] == "session"]

    def events(self) -> list[dict[str, Any]]:
        own = [msgspec.json.decode(each) for each in (*self.writer.events, *self.auditing._events)]
        return [*self._before, *own]


def digest(number: int) -> str:
    return session_digest(KEY, bytes([number]) * 16)


async def test_every_way_to_end_is_told_with_its_reason() -> None:
    book = Book()
    for number in range(1, 5):
        await book.router.open_session(session(number))
        book.clock.advance(1.0)

    await book.router.tell_sessions((), [session(3).nonce], {session(3).nonce: End.REVOKED})
    book.clock.advance(IDLE)
    book.router.look_round()

    assert book.ends() == [(digest(1), "limit"), (digest(2), "limit"), (digest(3), "revoked"), (digest(4), "idle")]


async def test_an_end_says_whose_session_it_was_and_where() -> None:
    book = Book()
    await book.router.open_session(session(1, "git"))
    await book.router.tell_sessions((), [session(1).nonce], {session(1).nonce: End.CLIENT})

    assert book.events() == [
        {
            "time": "2026-07-28T12:00:00Z",
            "kind": "session",
            "by": {"credential": "token", "subject": "alice", "issuer": "https://id.example"},
            "session": digest(1),
            "server": "git",
            "outcome": "ended",
            "detail": "client",
        }
    ]


@given(
    endpoint=st.sampled_from(["", "git"]),
    issuer=st.text(max_size=9),
    subject=st.text(max_size=9),
    kind=st.sampled_from(Kind),
)
def test_whose_session_it_was_is_read_from_any_owner(endpoint: str, issuer: str, subject: str, kind: Kind) -> None:
    auditing = Auditing("r", WriterDouble, AuditSettings(), now=lambda: NOW)
    key = Principal(subject, issuer, kind).key

    Diary(auditing, KEY).session_ended(b"n", Client("", key, endpoint).account, End.CLIENT)

    (told,) = [msgspec.json.decode(each) for each in auditing._events]
    by = {name: text for name, text in (("issuer", issuer), ("subject", subject)) if text}
    assert told["by"] == {"credential": kind.value, **by}
    assert told.get("server", "") == endpoint


async def test_the_digest_is_that_of_the_session_s_other_events() -> None:
    writer, told = WriterDouble(), WriterDouble()
    recorder = Recorder(Auditing("i", lambda: writer, AuditSettings(), now=lambda: NOW), AuditSettings(), KEY)
    diary = Diary(Auditing("r", lambda: told, AuditSettings(), now=lambda: NOW), KEY)

    recorder.session_opened(Caller(ALICE, "192.0.2.1"), b"n" * 16, "")
    diary.session_ended(b"n" * 16, "", End.CLIENT)
    await asyncio.gather(recorder.drain(), diary.drain())

    (first,), (last,) = (each.events for each in (writer, told))
    assert msgspec.json.decode(first)["session"] == msgspec.json.decode(last)["session"]


async def test_an_end_is_told_once_by_all_routers_together() -> None:
    book = Book()
    replicas = [
        Sessions(lambda: book.router, lambda *_: None, idle_seconds=IDLE, clock=book.clock)  # type: ignore[arg-type, return-value]
        for _ in range(2)
    ]
    await replicas[0].open(session(1).nonce, session(1).owner)
    for each in replicas:
        await each.find(session(1).nonce, session(1).owner)

    await asyncio.gather(*(each.end(session(1).nonce) for each in replicas))
    book.start()
    for each in replicas:
        await each.read_news()
        await each.report()
    book.clock.advance(2 * IDLE)
    book.router.look_round()

    assert book.ends() == [(digest(1), "client")]


async def test_an_end_that_no_router_could_be_told_of_is_told_by_the_next() -> None:
    book, away = Book(), True

    def find() -> Any:
        if away:
            raise ConnectionError
        return book.router

    replica = Sessions(find, lambda *_: None, idle_seconds=IDLE, clock=book.clock)
    await replica.open(session(1).nonce, session(1).owner)
    await replica.end(session(1).nonce, End.LOST)

    away = False
    await replica.read_news()
    await replica.report()

    assert book.ends() == [(digest(1), "lost")]


async def test_a_session_that_was_idle_for_too_long_while_there_was_no_gateway_ends_at_the_next_start(
    tmp_path: Any,
) -> None:
    book, wall_clock = Book(), HandClock()
    for number in (1, 2):
        store = Store.open(tmp_path / "state", wall_clock)
        book.start(Memory(store, wall_clock))
        await book.router.open_session(session(number))
        await book.router.flush()
        store.close()
        wall_clock.advance(IDLE)

    assert book.ends() == [(digest(1), "idle")]


# --- definitions ---


def listing(**tools: str) -> Listing:
    bodies = {name: msgspec.json.encode({"name": name, "description": text}) for name, text in tools.items()}
    return Listing(tools=tuple(Item(name, body) for name, body in bodies.items()))


async def tells(book: Book, sequence: int, found: Listing) -> None:
    key, up = ReplicaKey("git", 0), ReplicaState.UP
    await book.router.report(Status(key, "e", sequence, "n", "unix:/s", None, up, listing=found))


@pytest.mark.parametrize(("pin", "decision"), [(Pin.ON, "denied"), (Pin.WARN, "allowed")])
async def test_definitions_that_are_pinned_changed_and_accepted_are_events(pin: Pin, decision: str) -> None:
    book = Book()
    book.start(None, BackendSettings(name="git", endpoint=StdioEndpoint(command="x"), pin=pin))

    await tells(book, 1, listing(add="Adds."))
    await tells(book, 2, listing(add="Adds, and sends.", leak="Helps."))
    await tells(book, 3, listing(add="Adds, and sends.", leak="Helps."))
    accepted = await book.router.accept_definitions("git")
    await tells(book, 4, listing(add="Adds, and sends.", leak="Helps."))

    assert accepted == ""
    assert [(each["kind"], each["server"]) for each in book.events()] == [("definition", "git")] * 4
    assert [(each["outcome"], each.get("name"), each.get("decision")) for each in book.events()] == [
        ("pinned", None, None),
        ("changed", "add", decision),
        ("new", "leak", decision),
        ("accepted", None, None),
    ]
    assert [each.get("detail") for each in book.events()] == ["1 tool", None, None, "2 tools"]


@pytest.mark.parametrize(("hidden", "decision"), [(HiddenText.REFUSE, "denied"), (HiddenText.FLAG, "allowed")])
async def test_a_definition_with_hidden_characters_is_an_event_that_says_which(
    hidden: HiddenText, decision: str
) -> None:
    book = Book()
    book.start(None, BackendSettings(name="git", endpoint=StdioEndpoint(command="x"), hidden_characters=hidden))

    await tells(book, 1, listing(add="Adds.\u200b"))

    (flagged,) = book.events()
    assert (flagged["outcome"], flagged["name"], flagged["decision"]) == ("flagged", "add", decision)
    assert flagged["detail"]


# --- an audit that is away ---


@pytest.mark.parametrize("on_failure", OnFailure)
async def test_a_router_whose_audit_is_away_goes_on_and_tells_later_what_there_was_room_for(
    on_failure: OnFailure,
) -> None:
    book = Book(buffer=1, on_failure=on_failure)
    room = 2 if on_failure is OnFailure.REFUSE else 1
    book.writer.away = True
    for number in range(1, 7):
        await book.router.open_session(session(number))
        await book.auditing.send()

    found = await book.router.find_sessions([session(6)])
    book.writer.away = False
    await book.router.flush()

    assert found.states == (session(6),)
    assert [why for _, why in book.ends()] == ["limit"] * room
    assert [each["count"] for each in book.events() if each["kind"] == "loss"] == [4 - room]


async def test_what_is_noted_is_sent_by_itself() -> None:
    book = Book(flush_seconds=0.001)
    await book.router.servers()
    await book.router.tell_sessions([session(1)], [])
    await book.router.tell_sessions((), [session(1).nonce], {session(1).nonce: End.CLIENT})

    await until(lambda: bool(book.writer.events))

    assert len(book.writer.events) == 1


async def test_without_an_audit_nothing_is_written() -> None:
    diary = diary_of(None, b"", "g", WriterDouble)

    diary.begin()
    diary.session_ended(b"n", "", End.CLIENT)
    await diary.drain()

    assert diary._sending is None
