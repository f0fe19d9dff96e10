"""The group ``jobs``."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import click

from libs.job_commands.dead import make_dead
from libs.job_commands.following import logs, watch
from libs.job_commands.managing import cancel, list_jobs, result, retry
from libs.job_commands.server import LocalServer, ServerGroup
from libs.job_commands.submitting import submit

_HELP = """Submit jobs and look after them, over HTTP.

The server is --url or TASKGATE_URL, the key TASKGATE_KEY or what is in --key-file; without them, the server of
`manage.py up` here, with its development key.

Exit codes: 0 done, 1 the job failed, 2 wrong words or params, 3 cancelled, 4 no server, 5 refused (no access, no such
job, not in this state), 6 not ended (in time), 130 Ctrl-C.
"""


class JobsGroup(ServerGroup):
    """Also has commands that are imported when they are used, since they build the application."""

    imported: Mapping[str, str]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those as well."""
        return sorted([*super().list_commands(ctx), *self.imported])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Those as well."""
        return load(self.imported[name]) if name in self.imported else super().get_command(ctx, name)


def make_jobs(local: Callable[[], LocalServer], *, dead: str, quarantine: str) -> click.Group:
    """The group.

    Args:
        local: tells of the server on this machine; called only when no other is named.
        dead, quarantine: the groups that work on Redis itself, as ``module:name``.
    """
    group = JobsGroup("jobs", help=_HELP, params=_options())
    group.local = local
    group.imported = {"quarantine": quarantine}
    for command in (submit, watch, list_jobs, cancel, retry, result, logs, make_dead(lambda: load(dead))):
        group.add_command(command)
    return group


def load(place: str) -> click.Group:
    """Of ``module:name``."""
    module, _, name = place.partition(":")
    group: click.Group = getattr(import_module(module), name)
    return group


def _options() -> list[click.Parameter]:
    key_file = click.Path(path_type=Path, exists=True, dir_okay=False)
    patience = "Seconds to go on trying a server that is away."
    return [
        click.Option(["--url"], envvar="TASKGATE_URL", help="The server, such as https://jobs.example.com."),
        click.Option(["--key-file"], type=key_file, help="Holds the key, instead of TASKGATE_KEY."),
        click.Option(["--patience"], type=float, default=20.0, show_default=True, help=patience),
    ]
