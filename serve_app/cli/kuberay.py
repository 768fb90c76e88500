"""`only1mcp config kuberay`: a manifest that runs the gateway on Kubernetes, by KubeRay's RayService."""

import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TextIO

import platformdirs
import yaml

from actors.core.identity import VERSION
from serve_app.config import ConfigError, find
from serve_app.config.reading import read

NAME: Final = "only1mcp"
FOLDER: Final = "/etc/only1mcp"
"""Where pods find the configuration."""

PORT: Final = 8000
"""As in `serve_app.service`, which would import Ray."""

START: Final = 'eval "$(only1mcp environment)" && ulimit -n 65536 && eval "$KUBERAY_GEN_RAY_START_CMD"'
"""What must stand in the environment of every Ray process before it starts stands there."""

WRONG_CONFIGURATION: Final = 2


def kuberay(
    config: Path | None, image: str | None, out: TextIO, errors: TextIO | None = None, cwd: Path | None = None
) -> int:
    """Print the manifest, with the configuration in it; returns the exit code, 0 or 2.

    The file is read and not checked against this machine: commands and variables are those of the image.
    """
    errors = errors or sys.stderr
    path = find(config, cwd or Path.cwd(), Path(platformdirs.user_config_dir()))
    if path is None:
        errors.write("only1mcp: there is no configuration to serve: name one with --config\n")
        return WRONG_CONFIGURATION
    try:
        sections = read(path)
    except ConfigError as error:
        errors.write(f"{error}\n")
        return WRONG_CONFIGURATION
    if not sections.get("auth"):
        errors.write(f"{path}: it would be reachable by others: add an `auth` section\n")
        return WRONG_CONFIGURATION
    documents = manifest(path.name, path.read_text(), image or f"{NAME}:{VERSION}")
    yaml.dump_all(documents, out, Dumper=_Dumper, sort_keys=False, width=1000)
    return 0


def manifest(name: str, configuration: str, image: str) -> list[dict[str, Any]]:
    """A Secret with the configuration file of this name, and the RayService that serves it."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{NAME}-config"},
        "stringData": {name: configuration},
    }
    service = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": NAME, "annotations": {"ray.io/overwrite-container-cmd": "true"}},
        "spec": {
            "serveConfigV2": yaml.safe_dump(_serve_config(f"{FOLDER}/{name}"), sort_keys=False),
            "rayClusterConfig": {
                "rayVersion": metadata.version("ray"),
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {"idleTimeoutSeconds": 300},
                "headGroupSpec": {"rayStartParams": {}, "template": _pod("ray-head", image, cpu="2", memory="4Gi")},
                "workerGroupSpecs": [
                    {
                        "groupName": "workers",
                        "replicas": 0,
                        "minReplicas": 0,
                        "maxReplicas": 8,
                        "rayStartParams": {},
                        "template": _pod("ray-worker", image, cpu="4", memory="8Gi"),
                    }
                ],
            },
        },
    }
    return [secret, service]


def _serve_config(config: str) -> dict[str, Any]:
    """What Serve is told: where to listen, and the application that keeps the command running."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": PORT},  # noqa: S104 - pods are reached from others
        "applications": [
            {
                "name": f"{NAME}-command",
                "import_path": "serve_app.service:gateway",
                "route_prefix": None,
                "args": {"config": config, "port": PORT},
            }
        ],
    }


def _pod(name: str, image: str, *, cpu: str, memory: str) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "command": ["/bin/bash", "-lc", "--"],
        "args": [START],
        "envFrom": [{"secretRef": {"name": f"{NAME}-env", "optional": True}}],  # the variables of the configuration
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}},
        "volumeMounts": [{"name": "config", "mountPath": FOLDER, "readOnly": True}],
    }
    if name == "ray-head":
        ports = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": PORT}
        container["ports"] = [{"name": port_name, "containerPort": port} for port_name, port in ports.items()]
    return {
        "spec": {
            "containers": [container],
            "volumes": [{"name": "config", "secret": {"secretName": f"{NAME}-config"}}],
        }
    }


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
