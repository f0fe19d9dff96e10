"""``manage.py up``: everything on this machine, supervised together, and a job run through it as a client would."""

from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from flask_migrate import upgrade
from sqlalchemy import select

from app.api_keys import Scope, create_key, find_principal
from app.commands.flower import flower_defaults, flower_line
from app.commands.sample_job import SampleJobError, run_sample_job
from app.commands.stack import children, embedded_redis, require_redis
from app.extensions import db
from app.models import ApiKey
from config import Config
from libs.local_stack import DataDirLock, LocalStackError, Supervisor, require_free_port

_DEVELOPMENT_PRINCIPAL = "dev"


@click.command()
@click.option("--sample/--no-sample", default=True, help="Run the sample job once everything is up.")
@click.option("--flower/--no-flower", default=False, help="Start Flower too, behind a password.")
@with_appcontext
def up(sample: bool, flower: bool) -> None:
    """Start Redis (unless REDIS_URL is set), the API, workers and beat, and stay up until Ctrl-C."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    config: Config = app.config["TASKGATE"]
    try:
        with DataDirLock(config.data_dir):
            _run(app, config, sample, flower)
    except LocalStackError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Stopped.")


def _run(app: Flask, config: Config, sample: bool, with_flower: bool) -> None:
    require_free_port(config.host, config.port)
    flower = flower_defaults(config) if with_flower else None
    redis = embedded_redis(config)
    if redis is None:
        require_redis(config)
    else:
        redis.prepare()
    upgrade()
    key = development_key(config.data_dir / "dev.key")
    base_url = f"http://{'127.0.0.1' if config.host == '0.0.0.0' else config.host}:{config.port}"  # noqa: S104
    with Supervisor(children(app, config, redis, base_url, flower), click.echo) as supervisor:
        supervisor.start()
        if sample:
            try:
                run_sample_job(base_url, key)
            except SampleJobError as error:
                raise click.ClickException(f"The sample job did not succeed: {error}") from error
        _show_addresses(base_url, config, key)
        if flower is not None:
            click.echo(f"Flower     {flower_line(config)}")
        click.echo("\nTaskgate is up. Ctrl-C stops it.")
        supervisor.run_until_stopped()
    click.echo("Stopped.")


def _show_addresses(base_url: str, config: Config, key: str) -> None:
    click.echo(f"\nConsole    {base_url}/")
    click.echo(f"API        {base_url}/api/1.0/tasks")
    click.echo(f"Docs       {base_url}/docs/")
    click.echo(f"Key        {key}   (development, all scopes; also in {config.data_dir / 'dev.key'})")
    click.echo(f"Logs       {config.data_dir / 'logs'}")


def development_key(path: Path) -> str:
    """The key in ``path``, made there (mode 0600) when it is missing or no longer works."""
    if path.is_file():
        key = path.read_text().strip()
        if find_principal(db.session(), key) is not None:
            return key
    for stale in db.session.scalars(select(ApiKey).where(ApiKey.principal == _DEVELOPMENT_PRINCIPAL)):
        db.session.delete(stale)
    key = create_key(db.session(), _DEVELOPMENT_PRINCIPAL, set(Scope))
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(f"{key}\n")
    db.session.commit()
    return key
