"""A gateway for all tests of traffic: each finds it whole, and waits until it is whole again.

Each folder below has what its tests share, and all of that ends with the folder: a Ray at rest is not for nothing.
"""

from collections.abc import Iterator

import pytest

from tests.support.traffic import Traffic, traffic_in


@pytest.fixture(scope="package")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    with traffic_in(tmp_path_factory.mktemp("traffic")) as running:
        yield running
