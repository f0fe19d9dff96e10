"""The console: a web page at ``/`` over the API, for people. ``docs/console.md`` is its manual."""

from app.console.page import init_app, make_blueprint

__all__ = ["init_app", "make_blueprint"]
