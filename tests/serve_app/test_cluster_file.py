"""`ray_cluster.yaml` is a file that `ray up` accepts."""

from pathlib import Path

import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from actors.core.needs import zone_of

FILE = Path(__file__).parents[2] / "ray_cluster.yaml"


def test_a_worker_says_in_which_zone_it_is() -> None:
    config = yaml.safe_load(FILE.read_text())

    worker = config["available_node_types"]["worker"]

    assert zone_of(worker["labels"]) == worker["node_config"]["Placement"]["AvailabilityZone"]
    assert worker["node_config"]["Placement"]["AvailabilityZone"].startswith(config["provider"]["region"])


def test_the_cluster_file_is_valid_and_starts_ray_in_our_environment() -> None:
    config = yaml.safe_load(FILE.read_text())

    validate_config(prepare_config(config))

    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        assert command == "ray stop" or command.startswith('eval "$(only1mcp environment)"')
