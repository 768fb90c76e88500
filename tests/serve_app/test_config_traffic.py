"""Replicas, pools of URLs, balancing and placement, as they stand in a file."""

import json
import sys

import pytest
from ray.runtime_env import RuntimeEnv

from actors.core.endpoints import HttpEndpoint, StdioEndpoint
from actors.core.traffic_settings import Balancing, PoolUrl, ScaleSettings, Stickiness
from serve_app.config import EntryError, description, read_entry
from serve_app.config.machine import RUNTIME_ENV_KEYS
from tests.support.config_files import HTTP, STDIO, load_tree, problems_of, problems_of_server

A, B = "https://a.example/mcp", "https://b.example/mcp?key=s3cr3t"


def backend_of(folder, server, environ=None):
    return load_tree(folder, {"mcpServers": {"git": server}}, environ).settings.backends[0]


def test_replicas_are_a_number_or_a_range(tmp_path):
    fixed = backend_of(tmp_path, {**HTTP, "replicas": 3})
    ranged = backend_of(tmp_path, {**HTTP, "replicas": {"min": 0, "max": 4, "target_in_flight": 2, "idle_timeout": 60}})

    assert (fixed.replicas, fixed.scale) == (3, ScaleSettings(min=3, max=3))
    assert ranged.replicas == ScaleSettings(min=0, max=4, target_in_flight=2.0, idle_timeout=60.0)


def test_a_pool_has_urls_with_weights_and_its_first_is_the_endpoint(tmp_path):
    server = {"urls": [A, {"url": "${B}", "weight": 3}], "headers": {"X-Key": "x"}, "type": "http"}

    backend = backend_of(tmp_path, server, {"B": B})

    assert backend.urls == (PoolUrl(url=A), PoolUrl(url=B, weight=3.0))
    assert backend.endpoint == HttpEndpoint(url=A, headers={"X-Key": "x"})


def test_how_traffic_reaches_a_server_is_set_up_from_the_file(tmp_path):
    traffic = {
        "balancer": {"kind": "hash", "key": "header:X-Tenant"},
        "sticky": "soft",
        "timeouts": {"slow": 300},
        "reset_on_progress": False,
        "retry": {"max_attempts": 2, "hedge_after": 0.5},
        "health": {"interval": 3},
        "ejection": {"failures": 2},
        "resources": {"num_gpus": 1, "custom": {"licence": 0.5}},
        "placement": {"strategy": "spread", "labels": {"zone": "eu"}},
        "runtime_env": {"pip": ["mcp-server"], "env_vars": {"A": "${A}"}},
    }

    backend = backend_of(tmp_path, {**HTTP, **traffic}, {"A": "a"})

    assert (backend.balancer.kind, backend.balancer.key) == (Balancing.HASH, "header:X-Tenant")
    assert (backend.sticky, backend.timeouts, backend.reset_on_progress) == (Stickiness.SOFT, {"slow": 300.0}, False)
    assert (backend.retry.max_attempts, backend.retry.hedge_after) == (2, 0.5)
    assert (backend.health.interval, backend.ejection.failures) == (3.0, 2)
    assert backend.resources is not None
    assert (backend.resources.num_gpus, backend.resources.custom) == (1.0, {"licence": 0.5})
    assert (backend.placement.strategy, backend.placement.labels) == ("spread", {"zone": "eu"})
    assert backend.runtime_env == {"pip": ["mcp-server"], "env_vars": {"A": "a"}}


def test_a_balancer_may_be_its_kind_alone(tmp_path):
    assert backend_of(tmp_path, {**HTTP, "balancer": "peak_ewma"}).balancer.kind is Balancing.PEAK_EWMA


def test_a_command_that_runs_elsewhere_is_not_looked_up_here(tmp_path):
    server = {"command": "no-such-program-anywhere", "cwd": "/srv/only/there"}

    backend = backend_of(tmp_path, {**server, "placement": {"labels": {"disk": "big"}}})

    assert backend.endpoint == StdioEndpoint(command="no-such-program-anywhere", cwd="/srv/only/there")
    assert problems_of_server(tmp_path, server) == [
        "cwd: is not a folder",
        "command: command 'no-such-program-anywhere' is not on PATH",
    ]


def test_local_folders_of_a_file_begin_at_its_own(tmp_path):
    (tmp_path / "work").mkdir()
    tree = {
        "mcpServers": {"git": {**STDIO, "runtime_env": {"working_dir": "work"}}},
        "server": {"state_file": "state.sqlite"},
    }

    settings = load_tree(tmp_path, tree).settings

    assert settings.backends[0].runtime_env == {"working_dir": str(tmp_path / "work")}
    assert settings.server.state_file == str(tmp_path / "state.sqlite")


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({**HTTP, "replicas": {"max": 0}}, "replicas.max: must be min to 100, and at least 1"),
        ({**HTTP, "replicas": {"min": 1}}, "replicas.max: is missing"),
        ({**HTTP, "replicas": {"min": "1", "max": 2}}, "replicas.min: must be a whole number"),
        ({**HTTP, "replicas": {"maximum": 2, "max": 2}}, "replicas.maximum: is not a setting; did you mean 'max'?"),
        ({**HTTP, "replicas": {"int": 2, "max": 2}}, "replicas.int: is not a setting; did you mean 'min'?"),
        ({**HTTP, "replicas": []}, "replicas: must be a whole number"),
        ({**HTTP, "replicas": None}, "replicas: must be a whole number"),
        ({**HTTP, "urls": [A]}, "has a url and urls: keep one of them"),
        ({"urls": []}, "urls: must be a list of URLs"),
        ({"urls": A}, "urls: must be a list of URLs"),
        ({"urls": [A, "ftp://x"]}, "urls[1].url: must begin with http:// or https://"),
        ({"urls": [A, 5]}, "urls[1]: must be a URL, or a mapping with a url and a weight"),
        ({"urls": [{"url": A, "weight": 0}]}, "urls[0].weight: must be more than 0, and at most 1000"),
        ({"urls": [{"url": A, "wieght": 2}]}, "urls[0].wieght: is not a setting; did you mean 'weight'?"),
        ({"urls": [A] * 101}, "urls: must be at most 100"),
        ({"urls": [A, A], "replicas": 2}, "urls: has a replica for each: leave `replicas` out"),
        ({"urls": ["wss://x"], "type": "ws"}, "urls: belongs to a server of the type http"),
        ({**STDIO, "urls": [A]}, "urls: belongs to a server with a url"),
        (
            {"url": A, "balancer": {"kind": "best"}},
            "balancer.kind: must be 'least', 'round_robin', 'hash', 'random', 'weighted_random' or 'peak_ewma'",
        ),
        ({"url": A, "balancer": {"knid": "hash"}}, "balancer.knid: is not a setting; did you mean 'kind'?"),
        ({"url": A, "timeouts": {"slow": "300"}}, "timeouts.slow: must be a number"),
        ({"url": A, "resources": {"gpus": 1}}, "resources.gpus: is not a setting; did you mean 'num_gpus'?"),
        ({"url": A, "resources": {"custom": {"x": -1}}}, "resources: must hold amounts, and none below 0"),
        ({"url": A, "placement": {"strategy": "near"}}, "placement.strategy: must be pack or spread"),
        ({"url": A, "health": {"every": 1}}, "health.every: is not a setting"),
        ({"url": A, "runtime_env": {"pips": []}}, "runtime_env.pips: is nothing that Ray knows; did you mean 'pip'?"),
        ({"url": A, "runtime_env": {"working_dir": "none"}}, "runtime_env.working_dir: is not a folder"),
        ({"url": A, "runtime_env": []}, "runtime_env: must be a mapping of names to values"),
    ],
)
def test_traffic_that_cannot_work_is_refused_with_one_sentence(tmp_path, server, problem):
    assert problems_of_server(tmp_path, server) == [problem]


def test_mistakes_in_a_range_are_told_with_all_others(tmp_path):
    tree = {"mcpServers": {"a": {**HTTP, "replicas": {"min": 3, "max": 2, "x": 1}, "timeout": 0}, "b": {"urls": [5]}}}

    assert sorted(problems_of(tmp_path, tree)) == [
        "mcpServers.a.replicas.max: must be min to 100, and at least 1",
        "mcpServers.a.replicas.x: is not a setting",
        "mcpServers.a.timeout: must be more than 0 and at most 86400 seconds",
        "mcpServers.b.urls[0]: must be a URL, or a mapping with a url and a weight",
    ]


def test_ranges_and_pools_are_described_without_secrets(tmp_path):
    servers = {"web": {"urls": [B, A, A]}, "git": {**STDIO, "replicas": {"min": 0, "max": 4}}}

    loaded = load_tree(tmp_path, {"mcpServers": servers})
    web, git = description(loaded.settings, loaded.written)[:2]

    assert "https://b.example/mcp?… and 2 more" in web
    assert "3 replicas" in web
    assert "0 to 4 replicas" in git
    assert "s3cr3t" not in web


def test_what_ray_knows_is_what_we_say_it_knows():
    of_people = {key for key in RuntimeEnv.known_fields if not key.startswith(("_ray", "_inject"))}

    assert of_people == RUNTIME_ENV_KEYS


def test_an_entry_alone_is_read_as_it_is_in_a_file(tmp_path):
    entry = json.loads(json.dumps({**STDIO, "env": {"A": "${A}"}, "replicas": 2}))

    backend = read_entry("git", entry, tmp_path, {"A": "a"})

    assert (backend.name, backend.replicas) == ("git", 2)
    assert backend.endpoint == StdioEndpoint(command=sys.executable, env={"A": "a"})


@pytest.mark.parametrize(
    ("name", "entry", "sentences"),
    [
        (
            "git",
            {"comand": "x"},
            ["comand: is not a setting of a server; did you mean 'command'?", "needs a command or a url"],
        ),
        ("git", {**HTTP, "disabled": True}, ["disabled: cannot be said of a server that is added: remove it instead"]),
        (
            "git",
            {**HTTP, "timeout": 0, "headers": {"A": "${NOWHERE}"}},
            ["headers.A: the variable NOWHERE is not set", "timeout: must be more than 0 and at most 86400 seconds"],
        ),
    ],
)
def test_an_entry_alone_that_cannot_work_is_refused_with_places_inside_it(tmp_path, name, entry, sentences):
    with pytest.raises(EntryError) as caught:
        read_entry(name, entry, tmp_path, {})

    assert [str(problem) for problem in caught.value.problems] == sentences
