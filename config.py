"""Every setting of the product, read from the environment (and ``.env``), typed, checked at start.

``load_config()`` raises :class:`ConfigError` with the setting's name and what it wants. Settings of Celery itself
pass through as ``CELERY_<NAME>`` and are checked where Celery is configured.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from environs import Env, EnvError
from marshmallow.validate import OneOf, Range

#: A socket's path has at most 107 bytes on Linux (unix(7)); a longer one moves to a short directory.
_LONGEST_SOCKET_PATH = 100

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
    max_upload: int
    api_threads: int
    api_processes: int
    worker_concurrency: int
    log_level: str
    testing: bool = False
    celery: Mapping[str, str] = field(default_factory=dict)

    @property
    def files_dir(self) -> Path:
        """Where uploads and job files are kept."""
        return self.data_dir / "files"


def load_config(*, role: str = "api") -> Config:
    """Read the settings from the environment and, for what it does not name, from ``.env`` in this directory.

    Raises: ConfigError.
    """
    env = Env()
    env.read_env(str(Path.cwd() / ".env"), recurse=False)
    try:
        return _read(env, role)
    except EnvError as error:
        raise ConfigError(_sentence(error)) from error


def _read(env: Env, role: str) -> Config:
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
        result_url=env.str("RESULT_URL", "") or with_database(redis_url, RESULT_DATABASE),
        database_url=env.str("DATABASE_URL", "") or f"sqlite:///{data_dir / 'taskgate.db'}",
        host=env.str("HOST", "127.0.0.1"),
        port=env.int("PORT", 8000, validate=Range(1, 65535)),
        timezone=_timezone(env.str("TIMEZONE", "UTC")),
        result_expires=env.int("RESULT_EXPIRES", 86_400, validate=Range(1)),
        max_body=env.int("MAX_BODY", 1024**2, validate=Range(1024)),
        max_upload=env.int("MAX_UPLOAD", 1024**3, validate=Range(1024)),
        api_processes=env.int("API_PROCESSES", 1, validate=Range(1)),
        api_threads=env.int("API_THREADS", 16, validate=Range(1)),
        worker_concurrency=env.int("WORKER_CONCURRENCY", os.cpu_count() or 2, validate=Range(1)),
        log_level=env.str("LOG_LEVEL", "INFO", validate=OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])),
        celery={name: text for name, text in os.environ.items() if name.startswith("CELERY_")},
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
    parts = urlsplit(hosts[0])
    if parts.scheme in ("redis+socket", "unix"):
        # Put together by hand: geturl() drops the slashes of a scheme it does not know.
        return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"
    if parts.scheme not in ("redis", "rediss", "sentinel"):
        raise ConfigError(
            "REDIS_URL wants a Redis address such as redis://host:6379, rediss://, sentinel:// or "
            f"redis+socket:///path, not one of scheme {parts.scheme!r}."
        )
    return ";".join(urlsplit(host)._replace(path=f"/{database}").geturl() for host in hosts)


def _timezone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"TIMEZONE wants a name such as Europe/Berlin, not {name!r}.") from error


def _sentence(error: EnvError) -> str:
    return str(error).replace('Environment variable "', "").replace('" invalid: ', " is not valid: ").strip()
