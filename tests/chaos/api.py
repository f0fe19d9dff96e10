"""The API that is attacked: the product's own application, which knows the attacked jobs too.

``gunicorn 'tests.chaos.api:create_chaos_app()'``
"""

from flask import Flask

import tests.chaos.chaos_jobs
import tests.chaos.switches  # noqa: F401 - switches off what CHAOS_WITHOUT names
from app import create_app


def create_chaos_app() -> Flask:
    return create_app()
