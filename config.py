"""Every setting of the product, read from the environment (and ``.env``), typed, checked at start.

``load_config()`` raises :class:`ConfigError` with the setting's name and what it wants. Settings of Celery itself
pass through as ``CELERY_<NAME>``, or by their old names, and are checked where Celery is configured.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from environs import Env, EnvError
from marshmallow.validate import OneOf, Range, Regexp
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from libs.redis_address import RedisAddressError, checked, with_database

#: A socket's path has at most 107 bytes on Linux (unix(7)); a longer one moves to a short directory.
_LONGEST_SOCKET_PATH = 100

_DEPLOYMENT = Regexp(r"[A-Za-z0-9_-]{0,32}\Z", error="Wants up to 32 letters, digits, '-' and '_'.")

_RATE = Regexp(r"(0|[1-9][0-9]{0,8}/(second|minute|hour|day))\Z", error="Wants a rate such as 600/minute, or 0.")

#: As browsers send them (RFC 6454, 6.2): in lower case, without a path or a slash at the end.
_ORIGIN = r"(\*|https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)"
_ORIGINS = Regexp(rf"({_ORIGIN}(, ?{_ORIGIN})*)?\Z", error="Wants origins such as https://app.example.com, or *.")

_TYPE = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/(\*|[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*)"
_TYPES = Regexp(
    rf"[ ,]*({_TYPE}( *, *{_TYPE})*)?[ ,]*\Z", error="Wants media types such as text/csv,application/pdf,image/*."
)

_LONGEST_TTL = 315_360_000  # ten years: what is meant to last longer is an API key
_SHORTEST_SECRET = 32

BROKER_DATABASE, RESULT_DATABASE = 2, 1

#: Also the names that Celery's settings once had; which of them are settings is known where Celery is configured.
_OF_CELERY = ("CELERY_", "CELERYD_", "CELERYBEAT_", "BROKER_")


class ConfigError(ValueError):
    """A setting that cannot be used; the message names it and says what it wants."""


def _secret_keys(text: str) -> tuple[str, ...]:
    """Raises: ConfigError, without repeating what was given."""
    keys = tuple(key.strip() for key in text.split(",")) if text.strip() else ()
    if any(len(key) < _SHORTEST_SECRET for key in keys):
        raise ConfigError(
            f"SECRET_KEY wants {_SHORTEST_SECRET} or more random characters, or several such, newest first, "
            'separated by commas. Make one: python -c "import secrets; print(secrets.token_urlsafe(48))".'
        )
    return keys


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.lower().replace(",", " ").split())


def _timezone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"TIMEZONE wants a name such as Europe/Berlin, not {name!r}.") from error


def _setting(
    kind: str, default: Any, *, then: Callable[[Any], Any] | None = None, shown: bool = True, **checks: Any
) -> Any:
    """A field that is read from the environment, under its name in capitals.

    Args:
        kind: environs' method for it; ``checks`` are more of its arguments.
        then: what makes the field's value of what was read; raises ConfigError.
        shown: False for a secret.
    """

    def read(env: Env, name: str) -> Any:
        value = getattr(env, kind)(name.upper(), default, **checks)
        return value if then is None else then(value)

    return field(repr=shown, metadata={"read": read})


@dataclass(frozen=True, slots=True)
class Config:
    """The settings, each under its environment name in lower case. Sizes in bytes, times in seconds."""

    role: str  # "api" or "worker": how the process treats an absent Redis
    data_dir: Path
    redis_url: str
    redis_is_embedded: bool
    broker_url: str
    result_url: str
    database_url: str
    files_url: str  # file:///directory or s3://bucket/prefix
    host: str = _setting("str", "127.0.0.1")
    port: int = _setting("int", 8000, validate=Range(1, 65535))
    flower_address: str = _setting("str", "127.0.0.1")
    flower_port: int = _setting("int", 5555, validate=Range(1, 65535))
    timezone: ZoneInfo = _setting("str", "UTC", then=_timezone)
    result_expires: int = _setting("int", 86_400, validate=Range(1))
    max_body: int = _setting("int", 1024**2, validate=Range(1024))
    max_batch_body: int = _setting("int", 16 * 1024**2, validate=Range(1024))
    max_upload: int = _setting("int", 1024**3, validate=Range(1024))
    files_endpoint: str = _setting("str", "")  # of an S3 other than Amazon's
    upload_quota: int = _setting("int", 0, validate=Range(0))
    upload_types: tuple[str, ...] = _setting("str", "", validate=_TYPES, then=_words)
    upload_expires: int = _setting("int", 604_800, validate=Range(0))
    file_sweep_interval: float = _setting("float", 600.0, validate=Range(0.1, 86_400))
    api_processes: int = _setting("int", 1, validate=Range(1))
    worker_concurrency: int = _setting("int", os.cpu_count() or 2, validate=Range(1))
    log_level: str = _setting("str", "INFO", validate=OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]))
    deployment: str = _setting("str", "", validate=_DEPLOYMENT)
    strict_redis: bool = _setting("bool", False)
    allow_pickle: bool = _setting("bool", False)
    queue_limit: int = _setting("int", 1_000_000, validate=Range(0))
    owner_limit: int = _setting("int", 100_000, validate=Range(0))
    idempotency_ttl: int = _setting("int", 86_400, validate=Range(1))
    session_ttl: int = _setting("int", 43_200, validate=Range(60, 2_592_000))
    access_token_ttl: int = _setting("int", 86_400, validate=Range(1, _LONGEST_TTL))
    #: Newest first; without any, the application keeps one in ``data_dir``. Not for logs.
    secret_key: tuple[str, ...] = _setting("str", "", then=_secret_keys, shown=False)
    waiters: int = _setting("int", 4_000, validate=Range(0))
    event_heartbeat: float = _setting("float", 15.0, validate=Range(0.1, 300))
    result_memory: int = _setting("int", 32 * 1024**2, validate=Range(0))
    progress_rate: float = _setting("float", 10.0, validate=Range(0.1, 1_000))
    log_lines: int = _setting("int", 1_000, validate=Range(1, 100_000))
    log_bytes: int = _setting("int", 262_144, validate=Range(1024))
    webhook_allow_http: bool = _setting("bool", False)
    webhook_allow_private: tuple[str, ...] = _setting("str", "", then=_words)  # networks; read where they are used
    #: The waits between the tries; likewise.
    webhook_retries: str = _setting("str", "5,300,1800,7200,18000,36000,50400,72000,86400")
    webhook_timeout: int = _setting("int", 15, validate=Range(1, 60))
    webhook_queue: str = _setting("str", "")
    #: Rates such as 600/minute; "0" for none.
    rate_limit_key: str = _setting("str", "6000/minute", validate=_RATE)
    rate_limit_submit: str = _setting("str", "3000/minute", validate=_RATE)
    rate_limit_address: str = _setting("str", "300/minute", validate=_RATE)
    trusted_proxies: int = _setting("int", 0, validate=Range(0, 10))
    cors_origins: tuple[str, ...] = _setting("str", "", validate=_ORIGINS, then=_words)
    hsts: int = _setting("int", 0, validate=Range(0))
    result_limit: int = _setting("int", 16 * 1024**2, validate=Range(1024, 256 * 1024**2))
    log_format: str = _setting("str", "", validate=OneOf(["", "json", "text"]))  # "" for what suits the process
    schedule_limit: int = _setting("int", 100, validate=Range(0))
    schedule_min_interval: int = _setting("int", 60, validate=Range(1))
    schedule_grace: int = _setting("int", 3_600, validate=Range(1, 604_800))
    smtp_url: str = _setting("str", "", shown=False)  # the three are read where they are used
    alert_from: str = _setting("str", "")
    alert_to: str = _setting("str", "")
    monitor_targets: str = _setting("str", "", shown=False)  # read in app/jobs/monitoring; a URL may have a token
    monitor_retention: int = _setting("int", 30, validate=Range(1, 3_650))  # days
    testing: bool = False
    celery: Mapping[str, str] = field(default_factory=dict)


def load_config(*, role: str = "api") -> Config:
    """Read the settings from the environment and, for what it does not name, from ``.env`` in this directory.

    Raises: ConfigError.
    """
    env, file = Env(), Path.cwd() / ".env"
    env.read_env(file, recurse=False)
    # environs keeps what the file says to itself, and can only be asked for names that one knows.
    named = {**dotenv_values(file), **os.environ}
    celery = {name: text for name, text in named.items() if name.startswith(_OF_CELERY) and text is not None}
    if not celery.get("BROKER_URL", "unset"):
        del celery["BROKER_URL"]
    try:
        others = {known.name: known.metadata["read"](env, known.name) for known in fields(Config) if known.metadata}
        return Config(role=role, celery=celery, **_places(env), **others)
    except EnvError as error:
        raise ConfigError(_sentence(error)) from error
    except RedisAddressError as error:
        raise ConfigError(str(error)) from error


def _places(env: Env) -> dict[str, Any]:
    """The settings that depend on one another: where everything is kept."""
    data_dir = Path(env.str("DATA_DIR", "var")).absolute()
    redis_url = env.str("REDIS_URL", "") or None
    embedded = redis_url is None
    if redis_url is None:
        redis_url = f"redis+socket://{quote(str(embedded_redis_socket(data_dir)))}"
    return {
        "data_dir": data_dir,
        "redis_url": redis_url,
        "redis_is_embedded": embedded,
        "broker_url": env.str("BROKER_URL", "") or with_database(redis_url, BROKER_DATABASE),
        "result_url": _result_url(env) or with_database(redis_url, RESULT_DATABASE),
        "database_url": _database_url(env.str("DATABASE_URL", "")) or f"sqlite:///{data_dir / 'taskgate.db'}",
        "files_url": env.str("FILES_URL", "") or (data_dir / "files").as_uri(),
    }


def embedded_redis_socket(data_dir: Path) -> Path:
    """Where the embedded Redis of this data directory listens; the same answer in every process."""
    socket = data_dir / "redis" / "redis.sock"
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH:
        return socket
    digest = sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(f"/tmp/taskgate-{os.getuid()}-{digest}") / "redis.sock"  # noqa: S108 - a 0700 directory of ours


def _result_url(env: Env) -> str:
    url = env.str("RESULT_URL", "")
    return checked(url, setting="RESULT_URL") if url else ""


def _database_url(url: str) -> str:
    try:
        if url:
            make_url(url).get_dialect()
    except (ArgumentError, ImportError) as error:
        # Neither the address nor SQLAlchemy's text is repeated: they may hold the password.
        raise ConfigError(
            "DATABASE_URL wants an SQLAlchemy address of an installed driver, such as "
            "postgresql+psycopg://user:password@host/name or sqlite:////path/to/file."
        ) from error
    return url


def _sentence(error: EnvError) -> str:
    variable = str(error).partition('"')[2].partition('"')[0]
    return f"{variable} is not valid: {' '.join(map(str, getattr(error, 'error_messages', [])))}"
