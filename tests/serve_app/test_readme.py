"""The README's reference of settings: complete, and right about every default."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.core.audit_settings import AuditSettings
from actors.core.settings import BackendSettings, ServerSettings, Settings
from serve_app.config import load
from tests.support.processes import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
SERVER = "mcpServers: {web: {url: 'http://mcp.example.org/mcp'}}\n"


def defaults() -> str:
    """The block that has them."""
    (found,) = re.findall(r"<!-- defaults -->\n```yaml\n(.*?)```", README, re.DOTALL)
    return str(found)


def missing(settings: Any, written: dict[str, Any]) -> list[str]:
    """The settings that are not written down; those of sections too, where a section is written as a mapping."""
    found = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name not in written:
            found.append(field.name)
        elif is_dataclass(value):
            found += [f"{field.name}.{name}" for name in missing(value, written[field.name])]
    return found


def test_every_setting_stands_in_the_readme_with_its_default(tmp_path: Path) -> None:
    path = tmp_path / "only1mcp.yaml"
    path.write_text(defaults().replace("command: uvx", "url: http://mcp.example.org/mcp"))

    settings = load(path, {}).settings

    (backend,) = settings.backends
    assert backend == BackendSettings(name="example", endpoint=backend.endpoint)
    assert settings.server == ServerSettings()
    tree = yaml.safe_load(defaults())
    assert missing(settings.server, tree["server"]) == []
    assert missing(backend, tree["mcpServers"]["example"]) == ["name", "endpoint", "urls"]


def test_the_example_of_the_readme_is_a_configuration_but_for_what_its_machine_has(tmp_path: Path) -> None:
    (example,) = [block for block in BLOCKS if block.startswith("mcpServers:") and "command: uvx" in block][:1]
    (tmp_path / "work").mkdir()
    program = tmp_path / "uvx"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = tmp_path / "only1mcp.yaml"
    path.write_text(example.replace("command: uvx", f"command: {program}").replace("0f0e…", "0" * 64))

    settings = load(path, {"SEARCH_TOKEN": "x"}).settings

    assert [backend.name for backend in settings.backends] == ["time", "search", "archive", "render"]
    assert [url.weight for url in settings.backends[2].urls] == [1.0, 2.0]
    assert settings.backends[3].scale.min == 0
    assert settings.auth is not None


@pytest.mark.parametrize("section", ["policy", "limits", "audit"])
def test_the_example_of_each_section_is_a_configuration(tmp_path: Path, section: str) -> None:
    (example,) = [block for block in BLOCKS if block.startswith(f"{section}:")]
    path = tmp_path / "only1mcp.yaml"
    path.write_text(SERVER + example)

    settings = load(path, {}).settings

    assert getattr(settings, section) != getattr(Settings(backends=()), section)


def test_every_setting_of_the_audit_stands_in_the_readme_with_its_default(tmp_path: Path) -> None:
    (written,) = re.findall(r"<!-- audit -->\n```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "only1mcp.yaml"
    path.write_text(SERVER + written)

    assert load(path, {}).settings.audit == AuditSettings()
    assert missing(AuditSettings(), yaml.safe_load(written)["audit"]) == []
