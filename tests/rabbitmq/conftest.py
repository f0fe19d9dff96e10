"""Installations whose broker is a RabbitMQ node that this test process has started; the results are in Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.job_runs import JobRuns, job_runs
from tests.rabbitmq.broker_node import RabbitNode, find_rabbitmq_server


@pytest.fixture(scope="session")
def rabbitmq_script() -> Path:
    script = find_rabbitmq_server()
    if script is None:
        if os.environ.get("CI"):
            pytest.fail("rabbitmq-server is not installed, and CI must run these tests")
        pytest.skip("Debian's rabbitmq-server is not installed")
    return script


@contextmanager
def a_node(script: Path, **settings: int) -> Iterator[RabbitNode]:
    """A node that runs; ``settings`` as :class:`RabbitNode` takes them."""
    node = RabbitNode(script, **settings)
    try:
        node.start()
        yield node
    finally:
        node.remove()


@pytest.fixture(scope="session")
def rabbitmq(rabbitmq_script: Path) -> Iterator[RabbitNode]:
    """One node for the session; a test that takes it away brings it back."""
    with a_node(rabbitmq_script) as node:
        yield node


@pytest.fixture(scope="module")
def quiet_runs(rabbitmq: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    """An installation whose workers each test starts, and whose queue is empty at first."""
    rabbitmq.empty_queue("default")
    with job_runs(tmp_path_factory.mktemp("rabbitmq"), BROKER_URL=rabbitmq.url) as runs:
        yield runs
