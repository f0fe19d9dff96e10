"""The commands of ``manage.py`` that build the application, one module each. ``manage.py`` imports them when used."""

from app.commands.doctor import doctor
from app.commands.keys import keys
from app.commands.openapi import openapi
from app.commands.stored_jobs import dead, quarantine
from app.commands.up import up

__all__ = ["dead", "doctor", "keys", "openapi", "quarantine", "up"]
