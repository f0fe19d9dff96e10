"""What the tests of the HTTP API share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.installation import Installation, an_installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("api")) as installation:
        yield installation


@pytest.fixture(scope="module")
def ann(installation: Installation) -> dict[str, str]:
    """Headers of ann, who may do everything but administrate."""
    return installation.headers("ann")


@pytest.fixture(scope="module")
def bob(installation: Installation) -> dict[str, str]:
    return installation.headers("bob")
