"""A gateway for all tests that kill a part of it: each finds it whole, and waits until it is whole again."""

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster, cluster_in


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_in(tmp_path_factory.mktemp("cluster")) as running:
        yield running
