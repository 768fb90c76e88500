"""From a file to a plain tree: mappings with string keys, lists, strings, numbers, booleans, null.

Parsers quote the text they stumble over, so their messages are not passed on as they are.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from serve_app.config.problems import ConfigError, EntryError, Problem, Where

Tree = dict[str, object]

MAX_FILE_BYTES: Final = 1024 * 1024
"""A thousand backends fit; a log file given by mistake does not."""

MAX_VALUES: Final = 100_000
"""Values in a tree: a few YAML aliases of aliases could otherwise stand for billions."""

MAX_DEPTH: Final = 32

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_HARMLESS: Final = re.compile(r"'(<[a-z ]+>|.|\\.)'")
"""What of a YAML message may be repeated: the names of tokens, and single characters."""


class _ParseError(Exception):
    """The text is not what its suffix says. Arguments: a sentence without quotations."""


def read(path: Path) -> Tree:
    """The tree in a YAML, TOML or JSON file.

    Raises:
        ConfigError: it cannot be read or parsed, or is no mapping of plain values.
    """
    reason, tree = "", Tree()
    try:
        parse = _PARSERS[path.suffix.lower()]
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _ParseError(f"is larger than {MAX_FILE_BYTES} bytes")
        # Editors on Windows put a byte order mark first.
        parsed = parse(content.decode("utf-8-sig"))
        if parsed is None:
            raise _ParseError("is empty")
        if not isinstance(parsed, dict):
            raise _ParseError("must be a mapping, beginning with mcpServers")
        tree = parsed
        _check_plain(tree)
    except KeyError:
        reason = f"must end with one of {', '.join(_PARSERS)}"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except RecursionError:
        reason = "is nested too deeply"
    except _ParseError as error:
        reason = str(error)
    if reason:  # raised out here, so that no parser's error with its quotations hangs on it
        raise ConfigError(path, (Problem((), reason),))
    return tree


def read_json(body: bytes) -> Tree:
    """The tree in the body of a request.

    Raises:
        EntryError: it cannot be parsed, or is no mapping of plain values.
    """
    try:
        parsed = _from_json(body.decode())
        if not isinstance(parsed, dict):
            raise _ParseError("must be a JSON object")
        _check_plain(parsed)
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except RecursionError:
        reason = "is nested too deeply"
    except _ParseError as error:
        reason = str(error)
    else:
        return parsed
    raise EntryError((Problem((), reason),))


def _check_plain(tree: Tree) -> None:
    remaining: list[tuple[object, Where]] = [(tree, ())]
    seen = 1
    while remaining:
        value, where = remaining.pop()
        if isinstance(value, dict | list):
            remaining.extend(_inner(value, where))
            seen += len(value)
        elif isinstance(value, str):
            _check_text(value, where)
        elif not isinstance(value, int | float | None):
            raise _ParseError(str(Problem(where, "is a date or another special value: quote it")))
        if seen > MAX_VALUES:
            raise _ParseError(f"has more than {MAX_VALUES} values")
        if len(where) > MAX_DEPTH:
            raise _ParseError("is nested too deeply")


def _inner(value: dict[object, object] | list[object], where: Where) -> Iterator[tuple[object, Where]]:
    if isinstance(value, list):
        yield from ((inner, (*where, position)) for position, inner in enumerate(value))
        return
    for key, inner in value.items():
        if not isinstance(key, str):
            sentence = "a key must be a string: quote numbers and words like on, off, yes and no"
            raise _ParseError(str(Problem(where, sentence)))
        _check_text(key, where)
        yield inner, (*where, key)


def _check_text(text: str, where: Where) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _ParseError(str(Problem(where, "holds one half of an escaped pair of characters"))) from None


def _from_json(text: str) -> object:
    def mapping(pairs: list[tuple[str, object]]) -> Tree:
        tree = dict(pairs)
        if len(tree) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise _ParseError(f"has the key {json.dumps(twice)} twice in one object")
        return tree

    def constant(_: str) -> NoReturn:
        raise _ParseError("holds NaN or Infinity, which JSON has not")

    try:
        return json.loads(text, object_pairs_hook=mapping, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise _ParseError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError:  # thousands of digits
        raise _ParseError("holds a number that is too long") from None


def _from_toml(text: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        sentence, _, place = str(error).rpartition(" (at ")
        where = place.removesuffix(")") if sentence else "end of document"
        raise _ParseError(f"{where}: {_QUOTED.sub(_unquote, sentence or 'is not TOML')}") from None
    except ValueError:  # thousands of digits
        raise _ParseError("holds a number that is too long") from None


class _YamlLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which does not let the last of equal keys win."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem="this key is here twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return node


def _from_yaml(text: str) -> object:
    try:
        return yaml.load(text, _YamlLoader)  # noqa: S506  a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _ParseError(place + _QUOTED.sub(_unquote, error.problem or "is not YAML")) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise _ParseError(f"line {line}, column {column}: a control character") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        # PyYAML's constructors trip over what their tag does not fit: `!!int ""`, `!!bool x`, 2024-99-99.
        raise _ParseError("holds a date, a number or a tagged value that is not one") from None


def _unquote(quoted: re.Match[str]) -> str:
    return quoted[0] if _HARMLESS.fullmatch(quoted[0]) else "(…)"


_PARSERS: Final[dict[str, Callable[[str], object]]] = {
    ".yaml": _from_yaml,
    ".yml": _from_yaml,
    ".toml": _from_toml,
    ".json": _from_json,
}
