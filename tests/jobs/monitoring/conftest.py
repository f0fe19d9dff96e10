"""Targets for one module's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jobs.monitoring.probe_targets import Targets, http_targets


@pytest.fixture
def targets() -> Iterator[Targets]:
    with http_targets() as targets:
        yield targets
