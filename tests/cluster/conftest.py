"""Two gateways for all tests that kill a part of them: each finds them whole, and waits until they are whole again."""

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster, cluster_in
from tests.support.traffic import Traffic, traffic_in


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_in(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="package")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    with traffic_in(tmp_path_factory.mktemp("traffic")) as running:
        yield running
