"""The worker's composition root: what ``celery -A libs.flask_celery:celery_app …`` imports.

The one module of this library that knows the application, because a worker is started through the library and needs
the application's tasks. Import it nowhere else.
"""

from app import create_app
from config import load_config
from libs.flask_celery.celery_config import Role
from libs.flask_celery.factory import FlaskCelery

celery_app: FlaskCelery = create_app(load_config(role=Role.WORKER.value)).extensions["celery"]
