"""A Ray for all tests of gateways that join one: each file but the last leaves it without any."""

from collections.abc import Iterator

import pytest

from tests.support.cluster_ray import OtherRay, other_ray


@pytest.fixture(scope="package")
def ray() -> Iterator[OtherRay]:
    with other_ray() as running:
        yield running
