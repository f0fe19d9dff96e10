#!/usr/bin/env python3
"""The command line of the service: ``python manage.py --help``.

Commands are imported when they are used: most build the application, which takes seconds. Those over HTTP do not.
"""

import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import click
from flask.cli import FlaskGroup

if TYPE_CHECKING:
    from flask import Flask

    from libs.job_commands import LocalServer

_COMMANDS = ("doctor", "keys", "openapi", "up")


class Commands(FlaskGroup):
    """Flask's own commands, those of its extensions, and ours."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All, by name."""
        return sorted({*super().list_commands(ctx), *_COMMANDS, "jobs"})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Ours without looking at the others, which import the application."""
        if name == "jobs":
            return _jobs()
        if name in _COMMANDS:
            command: click.Command = getattr(import_module("app.commands"), name)
            return command
        return super().get_command(ctx, name)


def _create_app() -> "Flask":
    from app import create_app  # noqa: PLC0415 - only for commands that want one

    return create_app()


@cache
def _jobs() -> click.Group:
    from libs.job_commands import make_jobs  # noqa: PLC0415 - only for these commands

    return make_jobs(_local_server, dead="app.commands:dead", quarantine="app.commands:quarantine")


def _local_server() -> "LocalServer":
    from config import load_config  # noqa: PLC0415 - only when no other server is named
    from libs.job_commands import LocalServer  # noqa: PLC0415

    config = load_config()
    return LocalServer.listening(config.host, config.port, config.data_dir / "dev.key")


cli = Commands(create_app=_create_app, help="Taskgate: a self-hosted job API.")

if __name__ == "__main__":
    try:
        cli()
    except Exception as error:
        # Those that say which setting is wrong; to import them takes longer than some commands.
        from config import ConfigError
        from libs.flask_celery import SettingError

        if not isinstance(error, ConfigError | SettingError):
            raise
        sys.exit(f"taskgate: {error}")
