import tomllib
from pathlib import Path

import mcp_types.version as official

import actors
from actors.core import revisions
from actors.core.identity import VERSION


def test_the_revisions_are_those_of_the_official_sdk():
    assert revisions.HANDSHAKE_REVISIONS == official.HANDSHAKE_PROTOCOL_VERSIONS
    assert revisions.MODERN_REVISIONS == official.MODERN_PROTOCOL_VERSIONS
    assert revisions.LATEST_HANDSHAKE == official.LATEST_HANDSHAKE_VERSION
    assert revisions.LATEST_MODERN == official.LATEST_MODERN_VERSION


def test_the_gateway_says_the_version_it_is_published_under():
    project = tomllib.loads((Path(actors.__file__).parent.parent / "pyproject.toml").read_text())

    assert project["project"]["version"] == VERSION
