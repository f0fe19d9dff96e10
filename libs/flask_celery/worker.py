"""The worker's composition root: what ``celery -A libs.flask_celery:celery_app …`` imports.

The one module of this library that knows the application, because a worker is started through the library and needs
the application's tasks. Import it nowhere else.
"""

import sys

from app import create_app
from config import ConfigError, load_config
from libs.flask_celery import flower_queues, green_pools, worker_logs
from libs.flask_celery.celery_config import Role
from libs.flask_celery.errors import SettingError
from libs.flask_celery.factory import FlaskCelery


def _build() -> FlaskCelery:
    green_pools.prepare()
    try:
        config = load_config(role=Role.WORKER.value)
        celery_app: FlaskCelery = create_app(config).extensions["celery"]
    except (ConfigError, SettingError) as error:
        # Celery's command shows any Exception as a traceback of itself; what is wrong is one line.
        sys.exit(f"taskgate: {error}")
    flower_queues.prepare(celery_app)
    if config.log_format == "json":  # unless it is asked for, Celery writes as its manual says
        worker_logs.write_json()
    return celery_app


celery_app = _build()
