"""Configuration files for tests, and what is wrong with them."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from serve_app.config import ConfigError, Loaded, load

STDIO = {"command": sys.executable}
HTTP = {"url": "https://mcp.example.com/mcp"}


def load_text(folder: Path, text: str, name: str = "only1mcp.json", environ: Mapping[str, str] | None = None) -> Loaded:
    """Write a file and load it; no variables are set unless given."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load(path, environ or {})


def load_tree(folder: Path, tree: object, environ: Mapping[str, str] | None = None) -> Loaded:
    """Write a tree as JSON and load it."""
    return load_text(folder, json.dumps(tree), environ=environ)


def problems_of(folder: Path, tree: object, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with a tree, a line each, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        load_tree(folder, tree, environ)
    return [str(problem) for problem in caught.value.problems]


def problems_of_server(folder: Path, server: object, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with the one server `git`; places begin inside it."""
    problems = problems_of(folder, {"mcpServers": {"git": server}}, environ)
    return [problem.removeprefix("mcpServers.git").removeprefix(".").removeprefix(": ") for problem in problems]
