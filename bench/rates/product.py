"""This product, with the processes and the settings that ``manage.py up`` gives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade

from app import create_app
from app.commands.stack import children, embedded_redis
from app.commands.up import development_key
from bench.rates.system import Command, Protocol, System
from config import load_config
from tests.conftest import ROOT

NAME = "taskgate"
API = "/api/1.0"

#: The defaults would stop what is measured: 50 submissions a second and 100 requests of one key are allowed, and
#: 100,000 unfinished jobs of one owner. Rates are documented to be off with "0"; the other two still are checked.
SETTINGS = {
    "RATE_LIMIT_KEY": "0",
    "RATE_LIMIT_SUBMIT": "0",
    "OWNER_LIMIT": "5000000",
    "QUEUE_LIMIT": "5000000",
    "WORKER_CONCURRENCY": "2",
    "API_PROCESSES": "1",
}


@dataclass
class Product(System):
    app: Flask | None = None
    key: str = ""


@contextmanager
def the_product(folder: Path, port: int, *, appendfsync: str) -> Iterator[Product]:
    """Reads the environment, and sets in it what an operator would."""
    for name in list(os.environ):
        if name.startswith(("CELERY", "REDIS_URL", "BROKER_URL", "RESULT_URL", "DATABASE_URL")):
            del os.environ[name]
    os.environ |= {**SETTINGS, "DATA_DIR": str(folder / "data"), "PORT": str(port)}
    config = load_config()
    app = create_app(config)
    redis = embedded_redis(config)
    assert redis is not None
    with app.app_context():
        upgrade()
        key = development_key(config.data_dir / "dev.key")
    specs = {
        spec.name: Command(spec.argv, spec.env, ROOT)
        for spec in children(app, config, redis, f"http://127.0.0.1:{port}")
    }
    del specs["redis"]
    system = Product(
        name=NAME,
        title="Taskgate",
        protocol=protocol_for(key),
        port=port,
        folder=folder,
        redis=redis,
        api=specs.pop("api"),
        workers=list(specs.values()),  # and beat
        appendfsync=appendfsync,
        app=app,
        key=key,
    )
    with system:
        yield system


def protocol_for(key: str) -> Protocol:
    return Protocol(
        submit=f"{API}/tasks/maintenance.adds/jobs",
        body='{"a": 1, "b": 2}',
        content_type="application/json",
        id="task_id",
        poll=f"{API}/results/{{id}}",
        final='"ready":true',
        headers={"Authorization": f"Bearer {key}"},
        held_poll=f"{API}/results/{{id}}?wait=25",
        wait={"Prefer": "wait=25"},
        batch=f"{API}/batches",
    )
