import io
import json
import logging
import time

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from actors.logs import MAX_LINE, configure

NOON = time.mktime((2026, 7, 28, 12, 34, 56, 0, 0, -1))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.from_regex(r"[a-z_]{1,10}", fullmatch=True).filter(lambda key: key not in {"event", "exc_info", "stack_info"})


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _restored():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def started(log_format="text", level="info", stream=None):
    stream = io.StringIO() if stream is None else stream
    configure(log_format, level, stream=stream, clock=lambda: NOON)
    return structlog.get_logger(), stream


def test_a_text_line_has_time_level_event_and_keys():
    log, out = started()

    log.info("backend_started", backend="git", tools=12, command="uvx mcp", empty="")

    assert out.getvalue() == '12:34:56 info backend_started backend=git tools=12 command="uvx mcp" empty=""\n'


def test_a_json_line_is_an_object_with_time_level_event_and_keys():
    log, out = started("json")

    log.warning("backend_ejected", backend="git", names=("a", "b"))

    line = json.loads(out.getvalue())
    ts = line.pop("ts")
    assert ts.endswith("Z")
    assert line == {"level": "warning", "event": "backend_ejected", "backend": "git", "names": ["a", "b"]}
    assert out.getvalue().startswith('{"ts": "')


@pytest.mark.parametrize("log_format", ["text", "json"])
@given(event=st.text(), keys=st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_whatever_is_logged_is_one_bounded_line_without_control_characters(log_format, event, keys):
    log, out = started(log_format)

    log.info(event, **keys)

    line = out.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert len(line) <= MAX_LINE + 1
    if log_format == "json":
        assert json.loads(line, parse_constant=pytest.fail)["level"] == "info"


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("size", [3_000, 5_000, 1_000_000])
def test_a_line_is_bounded_however_much_is_logged(log_format, size):
    log, out = started(log_format)

    log.info("\u4e16" * size, stderr="\x1b" * size, number=10**5000, many={str(key): "y" * 100 for key in range(200)})

    assert len(out.getvalue()) <= MAX_LINE + 1
    if log_format == "json":
        assert json.loads(out.getvalue())["level"] == "info"


def test_a_long_value_keeps_both_of_its_ends():
    log, out = started()

    log.info("server_stderr", line="first" + "x" * 100_000 + "last")

    assert "first" in out.getvalue()
    assert "last" in out.getvalue()
    assert " more]" in out.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "keys",
    [
        {"authorization": "hunter2"},
        {"Proxy_Authorization": "hunter2"},
        {"access_token": b"hunter2"},
        {"client_secret": ["hunter2"]},
        {"password": "hunter2"},
        {"headers": {"X-Custom": "hunter2"}},
        {"env": {"ANY_NAME": "hunter2"}},
        {"request": {"nested": [{"X-API-Key": "hunter2"}, {"Set-Cookie": "hunter2"}]}},
        {"line": "sent Authorization: Bearer hunter2"},
        {"line": "key o1m_hunter2 was refused"},
        {"url": "https://user:hunter2@example.com/mcp"},
    ],
)
def test_secrets_are_redacted_wherever_they_stand(log_format, keys):
    log, out = started(log_format)

    log.info("happened", **keys)

    assert "hunter2" not in out.getvalue()
    assert "[redacted]" in out.getvalue()


def test_what_is_no_secret_is_left_alone():
    log, out = started()

    log.info("happened", line="basic usage: bearer of news", url="https://example.com:8080/mcp", method="tools/call")

    assert "[redacted]" not in out.getvalue()
    assert "basic usage: bearer of news" in out.getvalue()


def test_a_value_nested_too_deep_is_cut_off_rather_than_shown_unread():
    log, out = started()
    value = {"password": "hunter2"}
    for _ in range(50):
        value = [value]

    log.info("happened", value=value)

    assert "hunter2" not in out.getvalue()
    assert "…" in out.getvalue()


def test_a_forged_line_stays_inside_its_value():
    log, out = started()

    log.info("server_stderr", line='x"\n12:00:00 error forged\x1b[2J\x9b\u202e\u2028 level=error')

    expected = r'line="x\"\n12:00:00 error forged\x1b[2J\x9b\u202e\u2028 level=error"'
    assert out.getvalue() == f"12:34:56 info server_stderr {expected}\n"


def test_text_that_looks_like_an_escape_is_told_from_an_escape():
    log, out = started()

    log.info("happened", path=r"C:\new", line="C:\new")

    assert out.getvalue() == '12:34:56 info happened path="C:\\\\new" line="C:\\new"\n'


def test_no_control_character_reaches_a_json_line():
    log, out = started("json")

    log.info("happened", line="".join(map(chr, range(0xA0))))

    assert out.getvalue()[:-1].isprintable()
    assert json.loads(out.getvalue())["line"] == "".join(map(chr, range(0xA0)))


def test_levels_below_the_chosen_one_are_not_written():
    log, out = started(level="warning")

    log.info("quiet")
    log.warning("loud")

    assert out.getvalue() == "12:34:56 warning loud\n"


def test_an_exception_is_told_with_its_traceback_on_the_same_line():
    log, out = started("json")

    try:
        raise LookupError("gone")
    except LookupError:
        log.exception("broken")

    line = json.loads(out.getvalue())
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("LookupError: gone")


def test_libraries_are_written_in_the_same_form_from_warning_on():
    _, out = started()

    logging.getLogger("aiohttp.client").info("chatter")
    logging.getLogger("aiohttp.client").warning("Authorization: Bearer %s\nwas sent", "abc123")

    expected = 'library_message logger=aiohttp.client message="Authorization: [redacted]\\nwas sent"'
    assert out.getvalue() == f"12:34:56 warning {expected}\n"


def test_an_exception_of_a_library_is_told_too():
    _, out = started("json")

    try:
        raise LookupError("gone")
    except LookupError:
        logging.getLogger("asyncio").exception("Task failed")

    assert json.loads(out.getvalue())["exception"].endswith("LookupError: gone")


def test_a_library_that_logs_wrongly_harms_nobody():
    _, out = started()

    logging.getLogger("sloppy").warning("%d things", "many")

    assert '"%d things (TypeError' in out.getvalue()


def test_libraries_are_heard_in_full_when_debugging():
    _, out = started(level="debug")

    logging.getLogger("aiohttp.client").debug("chatter")

    assert "chatter" in out.getvalue()


def test_only_a_terminal_sees_colours(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    log, terminal = started(stream=Terminal())
    log.error("broken")
    monkeypatch.setenv("NO_COLOR", "1")
    log, plain = started(stream=Terminal())

    log.error("broken")

    assert terminal.getvalue() == "12:34:56 \x1b[31merror\x1b[0m broken\n"
    assert plain.getvalue() == "12:34:56 error broken\n"


def test_a_closed_standard_error_fails_nobody():
    log, out = started()
    out.close()

    log.info("unheard")
    logging.getLogger("library").warning("unheard")

    assert out.closed


def test_configuring_again_replaces_the_first_configuration():
    log, first = started()
    _, second = started("json")

    log.info("happened")
    logging.getLogger("library").warning("said")

    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 2


@pytest.mark.parametrize(("log_format", "level"), [("xml", "info"), ("text", "loud")])
def test_an_unknown_format_or_level_is_refused(log_format, level):
    with pytest.raises(ValueError, match="unknown log"):
        configure(log_format, level)
