"""Which server the commands speak to, and with which key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from libs.job_client import JobClient, RetryPolicy, address_and_key
from libs.job_commands.outcomes import OutcomeGroup


@dataclass(frozen=True, slots=True)
class LocalServer:
    """The one that ``manage.py up`` runs here, and the file with its development key."""

    url: str
    key_file: Path

    @classmethod
    def listening(cls, host: str, port: int, key_file: Path) -> LocalServer:
        """By where it listens, which may be everywhere."""
        reached = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        return cls(f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}", key_file)


@dataclass(frozen=True, slots=True)
class Server:
    """What was said of it, and where to look for what was not."""

    url: str | None
    key_file: Path | None
    patience: float
    local: Callable[[], LocalServer]

    def client(self, patience: float | None = None) -> JobClient:
        """Raises: click's UsageError for a key that is not to be found.

        The development key is for the local server alone: it is not sent to another one that somebody has named.
        """
        retries = RetryPolicy(patience=self.patience if patience is None else patience)
        url, key = self.url, self._key()
        if url is None or key is None:
            local = self.local() if url is None else None
            if key is None and local is not None and local.key_file.is_file():
                key = local.key_file.read_text().strip()
            url = local.url if local else url
        if key is None:
            raise click.UsageError(
                f"There is no key for {url}. Set TASKGATE_KEY, or give --key-file; manage.py keys create makes one."
            )
        try:
            return JobClient(url, key, retries=retries)
        except ValueError as error:
            raise click.UsageError(str(error)) from error

    def _key(self) -> str | None:
        return self.key_file.read_text().strip() if self.key_file else _named_key()


def _named_key() -> str | None:
    """``TASKGATE_KEY``. Not an option: command lines are for all to see."""
    return address_and_key()[1]


class ServerGroup(OutcomeGroup):
    """A group with the options ``--url``, ``--key-file`` and ``--patience``.

    The server is found by the context and not kept there by the group's callback, which completion does not call.
    """

    local: Callable[[], LocalServer]


def server_of(ctx: click.Context) -> Server:
    """As the options of the group say that this is a command of."""
    group: click.Context | None = ctx
    while group is not None and not isinstance(group.command, ServerGroup):
        group = group.parent
    if group is None or not isinstance(group.command, ServerGroup):
        raise LookupError("This is a command of no ServerGroup.")
    said = group.params
    return Server(said.get("url") or None, said.get("key_file"), said.get("patience") or 0.0, group.command.local)
