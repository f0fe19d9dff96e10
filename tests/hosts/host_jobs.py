"""A job that says where it runs and goes on until its host is told to end it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from marshmallow import Schema, fields

from libs.flask_celery import job
from tests.hosts.variables import FOLDER, HOST


class HostParams(Schema):
    label = fields.String(required=True)


@job("hosts.run", params=HostParams)
def run(label: str) -> dict[str, str]:
    """Ends when the file ``<label>-go-<host>`` is there; leaves ``<label>-started`` and ``<label>-ended`` lines."""
    folder, host = Path(os.environ[FOLDER]), os.environ[HOST]
    _note(folder / f"{label}-started", host)
    while not (folder / f"{label}-go-{host}").exists():
        time.sleep(0.02)
    _note(folder / f"{label}-ended", host)
    return {"host": host}


def _note(path: Path, host: str) -> None:
    with path.open("a") as file:
        file.write(json.dumps(host) + "\n")
