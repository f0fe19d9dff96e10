"""``manage.py keys``: API keys, made, listed, rotated and revoked."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy.exc import DBAPIError

from app.api_keys import Scope, create_key, list_keys, revoke_key, rotate_key, set_webhook, webhook_of
from app.extensions import db
from app.models import ApiKey
from app.webhooks import ForbiddenUrlError, SigningSecretError, without_secrets

keys = AppGroup("keys", help="API keys: create, list, rotate, revoke.")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="May be given several times.",
)
@click.option("--days", type=click.IntRange(1), help="Days after which the key is over; never without it.")
@click.option("--webhook", metavar="URL", help="Is told of the ends of jobs of this key.")
def create(name: str, scopes: tuple[str, ...], days: int | None, webhook: str | None) -> None:
    """Make a key for the principal NAME and print it, this once."""
    if not _NAME.fullmatch(name):
        raise click.BadParameter("A name has up to 64 letters, digits, '.', '_', '@' and '-'.", param_hint="NAME")
    _check_url(webhook)
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _database():
        key = create_key(
            db.session(), name, {Scope(scope) for scope in scopes}, expires_at=expires_at, webhook=webhook
        )
        db.session.commit()
        _require_secret(name if webhook else None)
    click.echo(key)


@keys.command(name="list")
def list_all() -> None:
    """Show every key: id, principal, scopes, when it was made, ends and was last used, and whether it works.

    The last use can be up to a minute behind.
    """
    with _database():
        found = [(key, webhook_of(db.session(), key.id)) for key in list_keys(db.session())]
    for key, webhook in found:
        times = f"created {_time(key.created_at)}  expires {_time(key.expires_at)}  used {_time(key.last_used_at)}"
        told = f"  webhook {without_secrets(webhook)}" if webhook else ""
        click.echo(f"{key.id}  {key.principal}  {key.scopes}  {times}  {_condition(key)}{told}")


@keys.command()
@click.argument("key_id")
@click.option(
    "--grace",
    default=60,
    show_default=True,
    type=click.IntRange(0, 525_600),
    metavar="MINUTES",
    help="For so long both keys work.",
)
def rotate(key_id: str, grace: int) -> None:
    """Make a key in the place of the one with this id, with its principal and scopes, and print it, this once."""
    with _database():
        rotation = rotate_key(db.session(), key_id, grace=timedelta(minutes=grace))
        db.session.commit()
    if rotation is None:
        raise _no_active_key(key_id)
    click.echo(rotation.key)
    click.echo(
        f"It expires: {_time(rotation.expires_at)}. The key {key_id} ends: {_time(rotation.old_ends_at)}.", err=True
    )


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke the key with this id."""
    with _database():
        revoked = revoke_key(db.session(), key_id)
        db.session.commit()
    if not revoked:
        raise _no_active_key(key_id)
    click.echo(f"Revoked. API processes forget the key {key_id} within seconds.")


@keys.command()
@click.argument("key_id")
@click.argument("url", required=False)
@click.option("--none", "nowhere", is_flag=True, help="Take the address away.")
def webhook(key_id: str, url: str | None, nowhere: bool) -> None:
    """Have the ends of jobs that are submitted with this key told to URL."""
    if nowhere == (url is not None):
        raise click.UsageError("Give a URL, or --none.")
    _check_url(url)
    with _database():
        principal = set_webhook(db.session(), key_id, url)
        db.session.commit()
        _require_secret(principal if url else None)
    if principal is None:
        raise _no_active_key(key_id)
    click.echo(f"Set. API processes notice within seconds: {key_id}.", err=True)


def _check_url(url: str | None) -> None:
    try:
        if url is not None:
            current_app.extensions["webhooks"].check(url)
    except ForbiddenUrlError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error


def _require_secret(principal: str | None) -> None:
    """Who is told needs a secret to know the teller by."""
    try:
        if principal is not None:
            current_app.extensions["webhooks"].require_secret(principal)
    except SigningSecretError as error:
        raise click.ClickException(f"{error} Rotate it: POST /api/1.0/webhooks/secret/rotate.") from error


def _no_active_key(key_id: str) -> click.ClickException:
    return click.ClickException(f"There is no active key {key_id}; manage.py keys list shows them.")


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _condition(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "over" if key.is_over(datetime.now(UTC)) else "active"


@contextmanager
def _database() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise click.ClickException(
            f"The database cannot be used: {error.orig}. Is DATABASE_URL right, and has manage.py db upgrade run?"
        ) from error
