"""The API that knows the hosts' job too: ``gunicorn 'tests.hosts.api:create_hosts_app()'``."""

from flask import Flask

import tests.hosts.host_jobs  # noqa: F401 - registers it
from app import create_app


def create_hosts_app() -> Flask:
    return create_app()
