#!/usr/bin/env python3
"""The command line of the service: ``python manage.py --help``."""

import sys

from flask.cli import FlaskGroup

from app import create_app
from app.commands import COMMANDS
from config import ConfigError
from libs.flask_celery import SettingError

cli = FlaskGroup(create_app=create_app, help="Taskgate: a self-hosted job API.")
for command in COMMANDS:
    cli.add_command(command)

if __name__ == "__main__":
    try:
        cli()
    except (ConfigError, SettingError) as error:
        sys.exit(f"taskgate: {error}")
