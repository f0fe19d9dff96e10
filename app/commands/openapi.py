"""``manage.py openapi``: the OpenAPI document, for generators and diffs."""

import click
from flask import current_app, json
from flask.cli import with_appcontext

from app.openapi import build_document


@click.command()
@with_appcontext
def openapi() -> None:
    """Print the OpenAPI document."""
    click.echo(json.dumps(build_document(current_app.extensions["celery"]), indent=2))
