"""Settings that work and are ill-advised, and those in ``.env`` that nobody reads."""

from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values
from flask import Flask

from app.doctor.finding import Findings, ok, problem, warning
from config import Config

_HERE = ("127.0.0.1", "localhost", "::1")

_PRIVATE_FILES = ("dev.key", "secret.key", "flower.key")

#: Where addresses come from that are fields of another name, or of no field.
_PLACES = ("BROKER_URL", "RESULT_URL")


def check_settings(app: Flask) -> Findings:
    """What stands out, each with what it means."""
    config: Config = app.config["TASKGATE"]
    found = [*_open_to_the_world(config), *_unknown_names(Path.cwd() / ".env"), *_readable_by_others(config.data_dir)]
    yield from found or [ok("settings", "Nothing about the settings stands out.")]


def _open_to_the_world(config: Config) -> Findings:
    public = config.host not in _HERE
    if not config.secret_key and not config.redis_is_embedded:
        yield warning(
            "settings",
            "SECRET_KEY is not set: each host makes one of its own, and takes no job tokens of the others.",
            'Set the same everywhere: python -c "import secrets; print(secrets.token_urlsafe(48))".',
        )
    if config.allow_pickle:
        yield warning(
            "settings",
            "ALLOW_PICKLE is on: whoever can write to the broker can run code in the workers.",
            "Turn it off, unless old clients send pickle.",
        )
    if "*" in config.cors_origins:
        yield warning("settings", "CORS_ORIGINS is *: pages of any site may use the API.", "Name your own.")
    if public and config.rate_limit_address == "0":
        yield warning(
            "settings",
            "RATE_LIMIT_ADDRESS is 0 on an address that others reach: keys can be guessed at without end.",
            "Leave it at 300/minute.",
        )
    if config.webhook_allow_private or config.webhook_allow_http:
        yield warning(
            "settings",
            "Webhooks may go to private networks or without TLS: clients choose where this service sends to.",
            "Unset WEBHOOK_ALLOW_PRIVATE and WEBHOOK_ALLOW_HTTP, unless all clients are trusted.",
        )
    if config.redis_is_embedded and public:
        yield warning(
            "settings",
            "The embedded Redis is for one machine, and the API listens for others.",
            "Set REDIS_URL when there are workers on other hosts.",
        )


def _unknown_names(file: Path) -> Findings:
    """Names that look like a setting and are none. Values are not looked at."""
    known = [*(known.name.upper() for known in fields(Config)), *_PLACES]
    for name in dotenv_values(file) if file.is_file() else ():
        near = get_close_matches(name, known, 1, 0.8)
        if near and name not in known:
            yield problem("settings", f".env sets {name}, which is no setting.", f"{near[0]} is meant?")


def _readable_by_others(data_dir: Path) -> Findings:
    for name in _PRIVATE_FILES:
        path = data_dir / name
        if path.is_file() and path.stat().st_mode & 0o077:
            yield problem("settings", f"{path} holds a secret and can be read by others.", f"chmod 600 {path}")
