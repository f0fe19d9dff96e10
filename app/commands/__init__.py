"""The commands of ``manage.py``, one module each."""

from app.commands.jobs import jobs
from app.commands.keys import keys
from app.commands.openapi import openapi
from app.commands.up import up

COMMANDS = (up, keys, jobs, openapi)

__all__ = ["COMMANDS"]
