"""What is said on the command line: params as ``a=1``, moments as ``2h``."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import click

from libs.job_client import JobClient

_NAME = re.compile(r"[A-Za-z_]\w*")
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[Any]):
    """A time (RFC 3339; without a zone, of this machine's), or how long ago: ``90m``, ``2h``, ``7d``."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware moment."""
        if isinstance(value, datetime):
            return value
        if (ago := _AGO.fullmatch(value)) is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            return datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(f"{value!r} is no time such as 2027-01-01T08:00+08:00, and none ago such as 2h.", param, ctx)


class Expiry(Moment):
    """A number of seconds, or a time."""

    name = "SECONDS|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A float or an aware moment."""
        try:
            return float(value)
        except (TypeError, ValueError):
            return super().convert(value, param, ctx)


def read_params(client: JobClient, words: Sequence[str], file: TextIO | None) -> dict[str, Any]:
    """The params of a job: those of the file, a JSON object, and over them those of the words.

    A word is ``name=value``: JSON where it is any, else the text itself; ``name=@path`` uploads a file and is its id.
    Files are uploaded last, when all else is known to be right. Raises: click's UsageError.
    """
    params = _of_file(file)
    files: dict[str, Path] = {}
    seen: set[str] = set()
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not _NAME.fullmatch(name) or name in seen:
            raise click.UsageError(f"A param is name=value, each once: a=1, not {word!r}.")
        seen.add(name)
        if value.startswith("@"):
            files[name] = Path(value[1:])
        else:
            params[name] = _value(value)
    for name, path in files.items():
        if not path.is_file():
            raise click.UsageError(f"{name}=@{path}: there is no such file.")
    return params | {name: client.upload(path).file_id for name, path in files.items()}


def _of_file(file: TextIO | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        params = json.load(file)
    except ValueError as error:
        raise click.UsageError(f"--params wants a JSON object: {error}.") from error
    if not isinstance(params, dict):
        raise click.UsageError("--params wants a JSON object.")
    return params


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_json)
    except ValueError:
        return text


def _no_json(text: str) -> Any:
    raise ValueError(text)  # NaN and Infinity, which Python's parser takes
