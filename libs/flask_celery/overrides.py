"""Celery's settings in the environment: ``CELERY_<NAME>=text``, typed as Celery types them."""

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from celery.app.defaults import NAMESPACES, flatten
from kombu.compression import get_encoder

from libs.flask_celery.errors import SettingError
from libs.flask_celery.old_names import ENVIRONMENT_PREFIX, environment_name, renamed

#: Variables of Celery's that name no setting, without their prefix: celery/bin/celery.py, app/log.py, contrib/rdb.py,
#: worker/state.py, and those of its own service files.
_VARIABLES_OF_CELERY = frozenset(
    (
        *("BIN", "CONFIG_MODULE", "LOADER", "SKIP_CHECKS", "CUSTOM_WORKER_POOL", "TRACE_APP", "BENCH", "BENCH_EVERY"),
        *("LOG_FILE", "LOG_LEVEL", "LOG_REDIRECT", "LOG_REDIRECT_LEVEL", "RDBSIG", "RDB_HOST", "RDB_PORT"),
        *("WORKER_REVOKES_MAX", "WORKER_SUCCESSFUL_MAX", "WORKER_REVOKE_EXPIRES", "WORKER_SUCCESSFUL_EXPIRES"),
    )
)


def typed_overrides(overrides: Mapping[str, str]) -> dict[str, Any]:
    """``CELERY_TASK_TIME_LIMIT=60`` as ``{"task_time_limit": 60}``, each value of the type Celery gives the setting.

    Old names are taken as well, with a warning (``old_names``).
    Raises: SettingError naming the variable: unknown (with the nearest real name), not of its type, or given by two
        names with different values.
    """
    options = dict(flatten(NAMESPACES))
    typed: dict[str, Any] = {}
    given_as: dict[str, str] = {}
    for variable, text in overrides.items():
        current = renamed(variable)
        if current is None:
            continue
        name = current.removeprefix(ENVIRONMENT_PREFIX).lower()
        option = options.get(name)
        if option is None and _is_read_by_celery(variable):
            continue
        if option is None:
            raise SettingError(variable, f"is not a Celery setting; did you mean {environment_name(nearest(name))}?")
        try:
            value = _typed(option.type, text)
        except ValueError as error:
            # A JSON object and an address may hold a password, and this is for a log.
            shown = "" if any(sign in text for sign in "{:@") else f", not {text!r}"
            raise SettingError(variable, f"wants {_wanted(option.type)}{shown}") from (error if shown else None)
        if name in typed and typed[name] != value:
            raise SettingError(
                variable, f"and {given_as[name]} are one setting and differ; keep {environment_name(name)} alone"
            )
        typed[name], given_as[name] = value, variable
    return typed


def known_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What an application's code sets, with values of Python. Raises: SettingError for an unknown name."""
    options = dict(flatten(NAMESPACES))
    for name in settings:
        if name not in options:
            raise SettingError(name, f"is not a Celery setting; did you mean {nearest(name)}?")
    return dict(settings)


def check_values(config: Mapping[str, Any]) -> None:
    """What Celery would take at the start and fail with at each job.

    Raises: SettingError for a compression or a time zone that there is not, and for a time that is none.
    """
    compression, zone, expires = (config.get(name) for name in ("task_compression", "timezone", "result_expires"))
    try:
        if compression is not None:
            get_encoder(compression)
    except KeyError as error:
        raise SettingError(
            environment_name("task_compression"), f"wants zlib or bzip2, not {compression!r}"
        ) from error
    try:
        if isinstance(zone, str):
            ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise SettingError(
            environment_name("timezone"), f"wants a name such as Europe/Berlin, not {zone!r}"
        ) from error
    if isinstance(expires, int | float) and not 0 <= expires < math.inf:
        raise SettingError(environment_name("result_expires"), f"wants seconds, 0 for ever, not {expires!r}")


def nearest(name: str) -> str:
    """The real setting with the most similar name."""
    return str(difflib.get_close_matches(name, dict(flatten(NAMESPACES)), n=1, cutoff=0.0)[0])


def _is_read_by_celery(variable: str) -> bool:
    """Whether Celery reads, or sets for its children, this variable without its being a setting."""
    # Imported for an unknown name only: the command line is nothing that an API process needs.
    from celery.bin.celery import celery as command_line  # noqa: PLC0415

    name = variable.removeprefix(ENVIRONMENT_PREFIX)
    options = {option.name for option in command_line.params} | {
        f"{command_name}_{option.name}"
        for command_name, command in command_line.commands.items()
        for option in command.params
    }
    return name in _VARIABLES_OF_CELERY or name.lower() in options


def _typed(kind: str, text: str) -> Any:
    match kind:
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "bool":
            return _truth(text)
        case "tuple" | "list":
            return [part.strip() for part in text.split(",") if part.strip()]
        case "dict" | "any":
            return _json_or_text(kind, text)
        case _:
            return text


def _truth(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _json_or_text(kind: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        if kind == "dict":
            raise
        return text
    if kind == "dict" and not isinstance(value, dict):
        raise ValueError(text)
    return value


def _wanted(kind: str) -> str:
    return {
        "int": "a whole number",
        "float": "a number of seconds or the like",
        "bool": "true or false",
        "dict": "a JSON object",
    }.get(kind, f"a {kind}")
