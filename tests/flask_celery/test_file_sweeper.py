"""The worker's sweep of files: one worker's at a time, and no failure ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from flask import Flask, current_app

from libs.flask_celery import FlaskCelery
from libs.flask_celery.file_sweeper import FileSweeper
from tests.conftest import wait_until


class Sweep:
    """Counts its passes; each has two steps, between which it waits for ``go_on``."""

    interval = 0.2

    def __init__(self) -> None:
        self.begun, self.ended, self.here_called = 0, 0, 0
        self.go_on = threading.Event()
        self.failure: Exception | None = None

    def here(self) -> None:
        self.here_called += 1

    def run(self) -> Iterator[None]:
        assert current_app
        self.begun += 1
        if self.failure:
            raise self.failure
        yield
        assert self.go_on.wait(30)
        yield
        self.ended += 1


@pytest.fixture
def sweep(app: Flask) -> Iterator[Sweep]:
    sweep = app.extensions["job_file_sweep"] = Sweep()
    yield sweep
    sweep.go_on.set()


@pytest.fixture
def start_sweeper(celery_app: FlaskCelery) -> Iterator[object]:
    steps: list[FileSweeper] = []

    def start() -> FileSweeper:
        step = FileSweeper(SimpleNamespace(blueprint=SimpleNamespace(shutdown_complete=threading.Event())))
        steps.append(step)
        step.start(SimpleNamespace(app=celery_app))
        return step

    yield start
    for step in steps:
        step.stopping.set()


def test_of_all_workers_one_sweeps_at_a_time(sweep: Sweep, start_sweeper: object, celery_app: FlaskCelery) -> None:
    for _ in range(3):
        start_sweeper()  # type: ignore[operator]
    wait_until(lambda: sweep.begun == 1, what="the first pass")
    before = sweep.here_called
    wait_until(lambda: sweep.here_called >= before + 2, what="the others to look")
    assert sweep.begun == 1

    sweep.go_on.set()
    wait_until(lambda: sweep.ended >= 2, what="the next pass")


def test_a_pass_that_fails_is_followed_by_another(sweep: Sweep, start_sweeper: object) -> None:
    sweep.failure = RuntimeError("no")
    start_sweeper()  # type: ignore[operator]
    wait_until(lambda: sweep.begun >= 2, what="a second pass")

    sweep.failure = None
    sweep.go_on.set()

    wait_until(lambda: sweep.ended >= 1, what="a pass that succeeds")


def test_a_worker_that_stops_leaves_the_rest_to_the_next(sweep: Sweep, start_sweeper: object) -> None:
    step = start_sweeper()  # type: ignore[operator]
    wait_until(lambda: sweep.begun == 1, what="the first pass")

    step.stopping.set()
    sweep.go_on.set()
    start_sweeper()  # type: ignore[operator]

    wait_until(lambda: sweep.begun >= 2, what="another worker's pass")
    assert sweep.ended <= sweep.begun - 1


def test_an_application_without_files_is_left_alone(app: Flask, start_sweeper: object) -> None:
    del app.extensions["job_file_sweep"]
    threads = threading.active_count()

    start_sweeper()  # type: ignore[operator]

    wait_until(lambda: threading.active_count() <= threads, what="the end of its thread")
