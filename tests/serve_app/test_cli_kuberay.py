"""`only1mcp config kuberay` prints what KubeRay and Ray Serve take."""

import importlib
import io
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.serve.schema import ServeDeploySchema

from serve_app.cli import kuberay as module
from serve_app.cli.kuberay import FOLDER, PORT, kuberay
from serve_app.cli.main import main

CONFIG = """\
mcpServers:
  time: {command: mcp-server-time}
auth:
  api_keys: [{name: ci, hash: "sha256:00"}]   # kept as it is
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


def printed(file: Path) -> list[dict[str, Any]]:
    out = io.StringIO()
    assert kuberay(file, "registry.example.org/only1mcp:1", out) == 0
    return list(yaml.safe_load_all(out.getvalue()))


def test_the_configuration_is_a_secret_that_every_pod_finds_as_it_was(file: Path) -> None:
    secret, service = printed(file)

    cluster = service["spec"]["rayClusterConfig"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert (secret["kind"], secret["stringData"]) == ("Secret", {"gateway.yaml": CONFIG})
    for pod in pods:
        (container,) = pod["template"]["spec"]["containers"]
        (volume,) = pod["template"]["spec"]["volumes"]
        assert volume["secret"]["secretName"] == secret["metadata"]["name"]
        assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": FOLDER, "readOnly": True}]
        assert container["image"] == "registry.example.org/only1mcp:1"


def test_every_ray_starts_in_our_environment_by_the_command_that_kuberay_made(file: Path) -> None:
    _, service = printed(file)

    cluster = service["spec"]["rayClusterConfig"]
    assert service["metadata"]["annotations"] == {"ray.io/overwrite-container-cmd": "true"}
    for pod in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = pod["template"]["spec"]["containers"]
        (start,) = container["args"]
        assert start.startswith('eval "$(only1mcp environment)" && ')
        assert start.endswith('eval "$KUBERAY_GEN_RAY_START_CMD"')
    assert cluster["rayVersion"] == ray.__version__


def test_serve_takes_the_application_and_finds_it_where_kuberay_looks(file: Path) -> None:
    _, service = printed(file)

    config = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))

    (application,) = config.applications
    place, name = application.import_path.split(":")
    (head,) = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert callable(getattr(importlib.import_module(place), name))
    assert application.args == {"config": f"{FOLDER}/gateway.yaml", "port": PORT}
    assert application.route_prefix is None
    assert config.http_options.port == PORT == importlib.import_module(place).PORT
    assert {"name": "serve", "containerPort": PORT} in head["ports"]


def test_what_strangers_could_use_is_refused(tmp_path: Path) -> None:
    file, errors = tmp_path / "open.yaml", io.StringIO()
    file.write_text("mcpServers: {time: {command: mcp-server-time}}\n")

    code = kuberay(file, None, io.StringIO(), errors)

    assert code == 2
    assert "add an `auth` section" in errors.getvalue()


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    errors = io.StringIO()

    code = kuberay(tmp_path / "missing.yaml", None, io.StringIO(), errors)

    assert code == 2
    assert "missing.yaml" in errors.getvalue()


def test_without_a_file_there_is_nothing_to_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platformdirs, "user_config_dir", lambda: str(tmp_path))
    errors = io.StringIO()

    assert kuberay(None, None, io.StringIO(), errors, tmp_path) == 2
    assert "--config" in errors.getvalue()


def test_the_command_line_reaches_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "kuberay", "--config", str(file)]) == 0

    assert [each["kind"] for each in yaml.safe_load_all(capsys.readouterr().out)] == ["Secret", "RayService"]
