"""One of the two systems on an empty Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.against_stock.systems import System
from tests.conftest import RedisServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Half of it is another system, which takes its time to fail."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.long)


@pytest.fixture
def system(
    request: pytest.FixtureRequest, redis_url: str, redis_server: RedisServer, tmp_path: Path
) -> Iterator[System]:
    system = System(request.param, redis_server, tmp_path)
    yield system
    system.stop()
