"""`only1mcp audit`: what a person sees of a log."""

import io
import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.audit_folder import files_before, head_path, key_path, lines_of
from actors.core.audit.batch import Batch
from actors.core.audit.event import Decision, Kind, Who, encoded
from actors.core.audit_settings import AuditSettings
from serve_app.audit_place import audit_path
from serve_app.audit_reading import Sought, events, follow, moment
from serve_app.cli.audit import AuditWish, log_of, tail
from serve_app.cli.main import main
from tests.support.audit import NOW, batch, event, log_at

ALICE, BOB = Who(subject="alice", client="desktop"), Who(subject="bob", actor="robot")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "audit" / "audit.jsonl"
    log = log_at(path, max_bytes=2000)
    for number in range(1, 31):
        log.append(batch(f"tool-{number}", sequence=number))
    log.close()
    return path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["audit", *words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_a_good_log_is_said_to_be_good(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = told(capsys, "verify", "--file", str(path))

    last = 30 + 1 + len(files_before(path))
    assert (code, said) == (0, f"good: lines 1 to {last} of {path}, in {len(files_before(path)) + 1} files\n")


def test_one_changed_byte_is_found_with_its_file_and_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, second = files_before(path)[1]
    lines = list(lines_of(second))
    lines[2] = lines[2].replace(b"tool-", b"tooI-")
    second.write_bytes(b"".join(lines))

    code, said = told(capsys, "verify", "--file", str(path))

    assert (code, said) == (1, f"broken: {second}, line 3 is not as it was written\n")


def test_missing_ends_files_heads_and_keys_are_found(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, head = path.read_bytes(), head_path(path).read_bytes()
    path.write_bytes(b"".join(list(lines_of(path))[:-1]))
    shortened = told(capsys, "verify", "--file", str(path))
    path.write_bytes(whole)
    head_path(path).unlink()
    headless = told(capsys, "verify", "--file", str(path))
    head_path(path).write_bytes(head)
    key_path(path).unlink()
    keyless = told(capsys, "verify", "--file", str(path))
    allowed = told(capsys, "verify", "--file", str(path), "--without-key")

    assert [code for code, _ in (shortened, headless, keyless, allowed)] == [1, 1, 1, 0]
    assert "are missing at its end" in shortened[1]
    assert "its head is missing" in headless[1]
    assert "cannot be read" in keyless[1]
    assert "not known who wrote" in allowed[1]


def test_a_log_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "verify", "--without-key", "--file", str(tmp_path / "x"))[0] == 1
    assert told(capsys, "verify", "--file", str(tmp_path / "x"))[0] == 1


def test_the_last_events_are_shown_in_lines_and_as_they_are(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, lines = told(capsys, "tail", "-n", "2", "--kind", "call", "--file", str(path))
    _, raw = told(capsys, "tail", "-n", "1", "--json", "--file", str(path))

    assert [line.split()[-1] for line in lines.splitlines()] == ["tool-29", "tool-30"]
    assert json.loads(raw)["event"]["name"] == "tool-30"


def test_events_are_exported_whole_to_a_file_that_is_new(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "export.jsonl"
    first = told(capsys, "export", "--file", str(path), "--kind", "call", "-o", str(made))
    again = told(capsys, "export", "--file", str(path), "-o", str(made))

    assert first == (0, f"30 events in {made}\n")
    assert [json.loads(line)["event"]["name"] for line in made.read_text().splitlines()] == [
        f"tool-{number}" for number in range(1, 31)
    ]
    assert again == (1, f"only1mcp: {made}: File exists\n")


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (Sought(), ["a", "b", "c"]),
        (Sought(principal="alice"), ["a"]),
        (Sought(principal="desk*"), ["a"]),
        (Sought(server="g*"), ["b"]),
        (Sought(kind="list"), ["b"]),
        (Sought(since=NOW + timedelta(hours=1)), ["c"]),
        (Sought(principal="bob", kind="list"), []),
    ],
)
def test_events_are_found_by_what_is_said_of_them(sought: Sought, found: list[str]) -> None:
    made = [
        event("a", by=ALICE),
        event("b", kind=Kind.LIST, server="git"),
        event("c", by=BOB, time=NOW + timedelta(hours=2)),
    ]

    assert [each.name for each in made if sought.includes(each)] == found


def test_a_time_is_a_while_ago_or_a_date() -> None:
    assert moment("90m", NOW) == NOW - timedelta(minutes=90)
    assert moment("2d", NOW) == NOW - timedelta(days=2)
    assert moment("2026-01-02", NOW) == datetime(2026, 1, 2, tzinfo=UTC)
    assert moment("2026-01-02T03:04:05+02:00", NOW) == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    with pytest.raises(ValueError, match="Invalid"):
        moment("yesterday", NOW)


def test_words_that_mean_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["tail", "--since", "yesterday"], ["tail", "-n", "-1"], ["tail", "--kind", "x"], []):
        with pytest.raises(SystemExit):
            main(["audit", *words])
    capsys.readouterr()


def test_whoever_follows_sees_what_is_written_later_and_in_the_next_file(path: Path) -> None:
    log = log_at(path, max_bytes=2000)
    rounds = itertools.count(100)

    def write_more(_seconds: float) -> None:
        number = next(rounds)
        log.append(batch(f"tool-{number}", sequence=number))

    before = len(files_before(path))
    seen = [made.name for _, made in itertools.islice(follow(path, Sought(kind="call"), write_more), 20)]

    assert seen == [f"tool-{number}" for number in range(100, 120)]
    assert len(files_before(path)) > before


def test_what_others_wrote_cannot_move_the_cursor_of_who_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = log_at(path)
    hostile = event("\x1b[2J\nfake line", by=BOB, decision=Decision.DENIED, rule="viewer", duration_ms=1.5, count=3)
    log.append(Batch("s", 1, (encoded(hostile),)))
    out = io.StringIO()

    tail(path, AuditWish(sought=Sought(kind="call")), out)

    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()
    assert "denied  bob (by robot)" in out.getvalue()
    assert "1.5 ms  [viewer]  (3)" in out.getvalue()


def test_lines_that_cannot_be_read_are_left_out(path: Path) -> None:
    with path.open("ab") as out:
        out.write(b"nonsense\n\xff\n{}\n")

    assert [made.name for _, made in events(path, Sought(kind="call"))][-1] == "tool-30"


def test_the_log_is_the_one_that_is_named_else_that_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    config.write_text('{"mcpServers": {"a": {"url": "http://127.0.0.1:9/mcp"}}, "audit": {"file": "here/audit.jsonl"}}')

    assert log_of(AuditWish(file=tmp_path / "x"), {}) == tmp_path / "x"
    assert log_of(AuditWish(config=config), {}) == tmp_path / "here" / "audit.jsonl"


def test_a_gateway_that_keeps_nothing_has_a_log_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert audit_path(AuditSettings()) == tmp_path / "only1mcp" / "audit" / "audit.jsonl"
    assert audit_path(AuditSettings(file="/x/log.jsonl"), 8080) == Path("/x/log-8080.jsonl")
