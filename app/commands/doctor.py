"""``manage.py doctor``: what is wrong, and what to do about it."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from app.doctor import Finding, Level, examine, settings_problem
from config import ConfigError
from libs.flask_celery import SettingError

_SHOWN = {Level.OK: ("ok", "green"), Level.WARNING: ("look", "yellow"), Level.PROBLEM: ("WRONG", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check Redis, the database, workers, queues, beat, clocks, settings and disks, and say what to do.

    Exit code 1 when something is wrong. Secrets and addresses are not shown.
    """
    findings: list[Finding] = []
    for finding in _findings():
        findings.append(finding)
        if not as_json:
            _show(finding)
    wrong = [finding for finding in findings if finding.level is Level.PROBLEM]
    if as_json:
        click.echo(json.dumps({"ok": not wrong, "findings": [asdict(finding) for finding in findings]}))
    else:
        click.echo(f"\n{len(wrong)} wrong." if wrong else "\nAll is well.")
    ctx.exit(1 if wrong else 0)


def _findings() -> Iterator[Finding]:
    from app import create_app  # noqa: PLC0415 - the application imports these commands' siblings

    try:
        app = create_app()
    except (ConfigError, SettingError) as error:
        yield settings_problem(error)
        return
    yield from examine(app)


def _show(finding: Finding) -> None:
    word, colour = _SHOWN[finding.level]
    click.echo(f"{click.style(f'{word:<6}', fg=colour)} {finding.check:<9} {finding.message}")
    if finding.advice:
        click.echo(f"{'':16} → {finding.advice}")
