"""A Flask application with Celery as the manuals of both show it, and nothing of ours.

What is compared with: ``Celery()`` with its own transport and backend, and Flask's pattern of a Task class that
pushes an app context around ``run`` (Flask's manual, "Background Tasks with Celery"). ``task_acks_late`` is on,
without which every killed worker loses what it runs.
"""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery, Task
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

flask_app = Flask("stock")
flask_app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{os.environ['DATA_DIR']}/stock.db"
db = SQLAlchemy(flask_app)


class FlaskTask(Task):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with flask_app.app_context():
            return self.run(*args, **kwargs)


celery_app = Celery(flask_app.name, task_cls=FlaskTask)
celery_app.flask_app = flask_app
celery_app.conf.update(
    broker_url=f"{os.environ['REDIS_URL']}/2",
    result_backend=f"{os.environ['REDIS_URL']}/1",
    task_default_queue="default",
    task_acks_late=True,
    task_track_started=True,
    broker_connection_retry_on_startup=True,
    **json.loads(os.environ.get("STOCK_SETTINGS", "{}")),
)
celery_app.set_default()
