import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from actors.transports.server_text import LINES_PER_SECOND, MAX_LINE_BYTES, Redactor, ServerText


class HandClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(logs, event="server_stderr", key="line"):
    return [entry[key] for entry in logs if entry["event"] == event]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        (b"\x1b[1;31mred\x1b[0m and \x1b[2Kgone\r", "red and gone"),
        (b"tab\there \x07\x00", "tab here"),
        (b"\xff\xc3\xa4", "\ufffd\u00e4"),
        (b"\xe2\x80\xae", ""),
    ],
)
def test_a_line_is_shown_without_what_moves_a_cursor(raw, shown):
    assert Redactor([]).text(raw) == shown


@settings(deadline=None)
@given(secret=st.text("abcdef-_", min_size=8), around=st.text("xyz ", max_size=10))
def test_a_known_secret_is_never_shown(secret, around):
    redactor = Redactor([secret, secret[:-1], "short"])

    text = redactor.text(f"{around}{secret}{around} short".encode())

    assert secret[:-1] not in text
    assert text.endswith("short")


def test_a_line_longer_than_the_limit_is_cut():
    text = ServerText("a", Redactor([]), HandClock())

    with capture_logs() as logs:
        text.feed(b"x" * (MAX_LINE_BYTES * 3) + b"\nnext\n")

    assert [len(line) < 1000 for line in lines_of(logs)] == [True, True]
    assert text.last == "next"


def test_beyond_the_rate_lines_are_counted_until_the_next_second():
    clock = HandClock()
    text = ServerText("a", Redactor([]), clock)

    with capture_logs() as logs:
        text.feed(b"again\n" * (LINES_PER_SECOND + 30))
        clock.now = 1.0
        text.feed(b"later\n")

    assert lines_of(logs) == ["again"] * LINES_PER_SECOND + ["later"]
    assert lines_of(logs, "server_stderr_suppressed", "lines") == [30]


def test_a_last_line_without_a_newline_is_not_lost():
    text = ServerText("a", Redactor([]), HandClock())
    text.feed(b"first\nfatal: no key")

    text.finish()

    assert list(text.tail) == ["first", "fatal: no key"]
