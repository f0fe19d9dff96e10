"""A pytest plugin for those who write jobs: an application of its own, a Redis, a worker, a client, a moved clock.

Load it with ``-p libs.flask_celery.testing``, as this repository's ``pyproject.toml`` does. Two ini options,
``taskgate_app`` and ``taskgate_keys``, name the application; the library itself knows none. Nothing that runs in
production may import this package: it needs pytest, and ``moved_clock`` needs time-machine.
"""

from libs.flask_celery.testing.applications import built_app
from libs.flask_celery.testing.clock import MoveClock, moved_clock
from libs.flask_celery.testing.fixtures import (
    embedded_redis,
    pytest_addoption,
    run_job,
    submit_job,
    taskgate,
    taskgate_app,
    taskgate_client,
    taskgate_settings,
    taskgate_worker,
    wait_for_job,
)
from libs.flask_celery.testing.installation import Installation, an_installation
from libs.flask_celery.testing.redis_server import RedisServer, close_idle_connections
from libs.flask_celery.testing.running import JobOutcome, RunJob, SubmitJob, WaitForJob
from libs.flask_celery.testing.waiting import wait_until
from libs.flask_celery.testing.worker_process import ROOT, WorkerProcess

__all__ = [
    # Fixtures
    "embedded_redis", "moved_clock", "run_job", "submit_job", "taskgate", "taskgate_app", "taskgate_client",
    "taskgate_settings", "taskgate_worker", "wait_for_job",
    # What they give
    "Installation", "JobOutcome", "MoveClock", "RedisServer", "RunJob", "SubmitJob", "WaitForJob", "WorkerProcess",
    # For fixtures of one's own
    "ROOT", "an_installation", "built_app", "close_idle_connections", "wait_until",
    # pytest's
    "pytest_addoption",
]  # fmt: skip
