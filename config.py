"""Every setting of the product, read from the environment (and ``.env``), typed, checked at start.

``load_config()`` raises :class:`ConfigError` with the setting's name and what it wants. Settings of Celery itself
pass through as ``CELERY_<NAME>`` and are checked where Celery is configured.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from environs import Env, EnvError
from marshmallow.validate import OneOf, Range, Regexp
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

#: A socket's path has at most 107 bytes on Linux (unix(7)); a longer one moves to a short directory.
_LONGEST_SOCKET_PATH = 100

_REDIS_SCHEMES = ("redis", "rediss", "sentinel", "redis+socket")

_DEPLOYMENT = Regexp(r"[A-Za-z0-9_-]{0,32}\Z", error="Wants up to 32 letters, digits, '-' and '_'.")

_RATE = Regexp(r"(0|[1-9][0-9]{0,8}/(second|minute|hour|day))\Z", error="Wants a rate such as 600/minute, or 0.")

#: As browsers send them (RFC 6454, 6.2): in lower case, without a path or a slash at the end.
_ORIGIN = r"(\*|https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)"
_ORIGINS = Regexp(rf"({_ORIGIN}(, ?{_ORIGIN})*)?\Z", error="Wants origins such as https://app.example.com, or *.")

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*)")

#: Ten years: what is meant to last longer is an API key.
_LONGEST_TTL = 315_360_000

_SHORTEST_SECRET = 32

BROKER_DATABASE = 2
RESULT_DATABASE = 1


class ConfigError(ValueError):
    """A setting that cannot be used; the message names it and says what it wants."""


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
    host: str
    port: int
    timezone: ZoneInfo
    result_expires: int
    max_body: int
    max_batch_body: int
    max_upload: int
    files_url: str  # file:///directory or s3://bucket/prefix
    files_endpoint: str  # of an S3 other than Amazon's
    upload_quota: int
    upload_types: tuple[str, ...]
    upload_expires: int
    file_sweep_interval: float
    api_processes: int
    worker_concurrency: int
    log_level: str
    deployment: str
    strict_redis: bool
    queue_limit: int
    owner_limit: int
    idempotency_ttl: int
    access_token_ttl: int
    #: Newest first; without any, the application keeps one in ``data_dir``. Not for logs.
    secret_key: tuple[str, ...] = field(repr=False)
    waiters: int
    event_heartbeat: float
    progress_rate: float
    log_lines: int
    log_bytes: int
    webhook_allow_http: bool
    webhook_allow_private: tuple[str, ...]  # networks; read where they are used
    webhook_retries: str  # the waits between the tries; likewise
    webhook_timeout: int
    webhook_queue: str
    rate_limit_key: str  # "600/minute", "0" for none; likewise the next two
    rate_limit_submit: str
    rate_limit_address: str
    trusted_proxies: int
    cors_origins: tuple[str, ...]
    hsts: int
    result_limit: int
    log_format: str  # "" for what suits the process
    schedule_limit: int
    schedule_min_interval: int
    schedule_grace: int
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
    celery = {name: text for name, text in named.items() if name.startswith("CELERY_") and text is not None}
    try:
        return _read(env, role, celery)
    except EnvError as error:
        raise ConfigError(_sentence(error)) from error


def _read(env: Env, role: str, celery: Mapping[str, str]) -> Config:
    data_dir = Path(env.str("DATA_DIR", "var")).absolute()
    redis_url = env.str("REDIS_URL", "") or None
    embedded = redis_url is None
    if redis_url is None:
        redis_url = f"redis+socket://{quote(str(embedded_redis_socket(data_dir)))}"
    return Config(
        role=role,
        data_dir=data_dir,
        redis_url=redis_url,
        redis_is_embedded=embedded,
        broker_url=env.str("BROKER_URL", "") or with_database(redis_url, BROKER_DATABASE),
        result_url=_result_url(env.str("RESULT_URL", "")) or with_database(redis_url, RESULT_DATABASE),
        database_url=_database_url(env.str("DATABASE_URL", "")) or f"sqlite:///{data_dir / 'taskgate.db'}",
        host=env.str("HOST", "127.0.0.1"),
        port=env.int("PORT", 8000, validate=Range(1, 65535)),
        timezone=_timezone(env.str("TIMEZONE", "UTC")),
        result_expires=env.int("RESULT_EXPIRES", 86_400, validate=Range(1)),
        max_body=env.int("MAX_BODY", 1024**2, validate=Range(1024)),
        max_batch_body=env.int("MAX_BATCH_BODY", 16 * 1024**2, validate=Range(1024)),
        max_upload=env.int("MAX_UPLOAD", 1024**3, validate=Range(1024)),
        files_url=env.str("FILES_URL", "") or (data_dir / "files").as_uri(),
        files_endpoint=env.str("FILES_ENDPOINT", ""),
        upload_quota=env.int("UPLOAD_QUOTA", 0, validate=Range(0)),
        upload_types=_media_types(env.str("UPLOAD_TYPES", "")),
        upload_expires=env.int("UPLOAD_EXPIRES", 604_800, validate=Range(0)),
        file_sweep_interval=env.float("FILE_SWEEP_INTERVAL", 600.0, validate=Range(0.1, 86_400)),
        api_processes=env.int("API_PROCESSES", 1, validate=Range(1)),
        worker_concurrency=env.int("WORKER_CONCURRENCY", os.cpu_count() or 2, validate=Range(1)),
        log_level=env.str("LOG_LEVEL", "INFO", validate=OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])),
        deployment=env.str("DEPLOYMENT", "", validate=_DEPLOYMENT),
        strict_redis=env.bool("STRICT_REDIS", False),
        queue_limit=env.int("QUEUE_LIMIT", 1_000_000, validate=Range(0)),
        owner_limit=env.int("OWNER_LIMIT", 100_000, validate=Range(0)),
        idempotency_ttl=env.int("IDEMPOTENCY_TTL", 86_400, validate=Range(1)),
        access_token_ttl=env.int("ACCESS_TOKEN_TTL", 86_400, validate=Range(1, _LONGEST_TTL)),
        secret_key=_secret_keys(env.str("SECRET_KEY", "")),
        waiters=env.int("WAITERS", 4_000, validate=Range(0)),
        event_heartbeat=env.float("EVENT_HEARTBEAT", 15.0, validate=Range(0.1, 300)),
        progress_rate=env.float("PROGRESS_RATE", 10.0, validate=Range(0.1, 1_000)),
        log_lines=env.int("LOG_LINES", 1_000, validate=Range(1, 100_000)),
        log_bytes=env.int("LOG_BYTES", 262_144, validate=Range(1024)),
        webhook_allow_http=env.bool("WEBHOOK_ALLOW_HTTP", False),
        webhook_allow_private=tuple(env.list("WEBHOOK_ALLOW_PRIVATE", [])),
        webhook_retries=env.str("WEBHOOK_RETRIES", "5,300,1800,7200,18000,36000,50400,72000,86400"),
        webhook_timeout=env.int("WEBHOOK_TIMEOUT", 15, validate=Range(1, 60)),
        webhook_queue=env.str("WEBHOOK_QUEUE", ""),
        rate_limit_key=env.str("RATE_LIMIT_KEY", "6000/minute", validate=_RATE),
        rate_limit_submit=env.str("RATE_LIMIT_SUBMIT", "3000/minute", validate=_RATE),
        rate_limit_address=env.str("RATE_LIMIT_ADDRESS", "300/minute", validate=_RATE),
        trusted_proxies=env.int("TRUSTED_PROXIES", 0, validate=Range(0, 10)),
        cors_origins=tuple(env.str("CORS_ORIGINS", "", validate=_ORIGINS).replace(",", " ").split()),
        hsts=env.int("HSTS", 0, validate=Range(0)),
        result_limit=env.int("RESULT_LIMIT", 16 * 1024**2, validate=Range(1024, 256 * 1024**2)),
        log_format=env.str("LOG_FORMAT", "", validate=OneOf(["", "json", "text"])),
        schedule_limit=env.int("SCHEDULE_LIMIT", 100, validate=Range(0)),
        schedule_min_interval=env.int("SCHEDULE_MIN_INTERVAL", 60, validate=Range(1)),
        schedule_grace=env.int("SCHEDULE_GRACE", 3_600, validate=Range(1, 604_800)),
        celery=celery,
    )


def embedded_redis_socket(data_dir: Path) -> Path:
    """Where the embedded Redis of this data directory listens; the same answer in every process."""
    socket = data_dir / "redis" / "redis.sock"
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH:
        return socket
    digest = sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(f"/tmp/taskgate-{os.getuid()}-{digest}") / "redis.sock"  # noqa: S108 - a 0700 directory of ours


def with_database(redis_url: str, database: int) -> str:
    """The same Redis, another database. A socket's database is its ``virtual_host`` (kombu's and Celery's form).

    Raises: ConfigError for a URL that is not a Redis one.
    """
    hosts = redis_url.split(";")
    parts = [_split_redis_url("REDIS_URL", host, (*_REDIS_SCHEMES, "unix")) for host in hosts]
    first = parts[0]
    if first.scheme in ("redis+socket", "unix"):
        if parse_qs(first.query).keys() - {"db", "virtual_host"}:
            # kombu reads a socket's password from there only.
            raise ConfigError("REDIS_URL wants a socket's password before its path: redis+socket://:password@/path.")
        # Put together by hand: geturl() drops the slashes of a scheme it does not know.
        return f"redis+socket://{first.netloc}{first.path}?virtual_host={database}"
    return ";".join(part._replace(path=f"/{database}").geturl() for part in parts)


def _split_redis_url(setting: str, url: str, schemes: tuple[str, ...] = _REDIS_SCHEMES) -> SplitResult:
    """Raises: ConfigError. The address itself is not repeated: it may hold a password."""
    wanted = (
        f"{setting} wants a Redis address such as redis://host:6379, rediss://host:6379, "
        "sentinel://host:26379;sentinel://host:26379 or redis+socket:///path"
    )
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - urllib checks it only when asked
    except ValueError as error:
        raise ConfigError(f"{wanted}, its special characters percent-encoded.") from error
    if parts.scheme not in schemes:
        raise ConfigError(f"{wanted}, not one of scheme {parts.scheme!r}.")
    return parts


def _result_url(url: str) -> str:
    for host in url.split(";") if url else ():
        _split_redis_url("RESULT_URL", host)
    return url


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


def _secret_keys(text: str) -> tuple[str, ...]:
    """Raises: ConfigError, without repeating what was given."""
    keys = tuple(key.strip() for key in text.split(",")) if text.strip() else ()
    if any(len(key) < _SHORTEST_SECRET for key in keys):
        raise ConfigError(
            f"SECRET_KEY wants {_SHORTEST_SECRET} or more random characters, or several such, newest first, "
            'separated by commas. Make one: python -c "import secrets; print(secrets.token_urlsafe(48))".'
        )
    return keys


def _media_types(text: str) -> tuple[str, ...]:
    types = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(map(_MEDIA_TYPE.fullmatch, types)):
        raise ConfigError("UPLOAD_TYPES wants media types, separated by commas: text/csv,application/pdf,image/*.")
    return types


def _timezone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"TIMEZONE wants a name such as Europe/Berlin, not {name!r}.") from error


def _sentence(error: EnvError) -> str:
    variable = str(error).partition('"')[2].partition('"')[0]
    return f"{variable} is not valid: {' '.join(map(str, getattr(error, 'error_messages', [])))}"
