"""The commands of ``manage.py``, one module each."""

from app.commands.keys import keys
from app.commands.openapi import openapi
from app.commands.up import up

COMMANDS = (up, keys, openapi)

__all__ = ["COMMANDS"]
