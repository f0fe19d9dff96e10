"""The Redis of the results and that of the broker: there, keeping what they are given, with the right time."""

import time
from typing import Any

from flask import Flask

from app.doctor.finding import Findings, ok, problem, warning
from config import Config
from libs.flask_celery import UNAVAILABLE, broker_channel, redis_problems

#: Seconds that two clocks may differ.
_MOST_SKEW = 1.0

#: Of the memory that a Redis may have, how much is nearly all.
_NEARLY_FULL = 0.9


def check_redis(app: Flask) -> Findings:
    """Both servers, or the one that is both."""
    celery_app = app.extensions["celery"]
    seen: set[str] = set()
    try:
        yield from _of_server("Redis of the results", celery_app.backend.client, seen)
        with broker_channel(celery_app) as channel:
            if channel is None:
                yield ok("broker", "The broker is no Redis, and answers.")
            else:
                yield from _of_server("Redis of the broker", channel.plain_client, seen)
    except UNAVAILABLE as error:
        yield _away(app.config["TASKGATE"], error)


def _away(config: Config, error: Exception) -> Any:
    advice = "Start it, or correct REDIS_URL (or BROKER_URL, RESULT_URL)."
    if config.redis_is_embedded:
        advice = "Start manage.py up, which brings it along, or name a Redis of your own in REDIS_URL."
    return problem("redis", f"Redis or the broker does not answer ({type(error).__name__}).", advice)


def _of_server(name: str, client: Any, seen: set[str]) -> Findings:
    before = time.time()
    seconds, micros = client.time()
    after = time.time()
    info = client.info()
    if info["run_id"] in seen:
        return
    seen.add(info["run_id"])
    yield ok("redis", f"{name}: version {info['redis_version']} answers.")
    yield from _keeping(info)
    yield _clocks(seconds + micros / 1e6, before, after)


def _keeping(info: dict[str, Any]) -> Findings:
    for sentence in redis_problems(info):
        said, _, advice = sentence.rpartition(". ")
        yield problem("redis", f"{said}.", advice)
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        yield problem("redis", "Redis cannot write its append-only file.", "Look at its log, and at its disk's room.")
    most, used = info.get("maxmemory", 0), info.get("used_memory", 0)
    if most and used > most * _NEARLY_FULL:
        yield warning(
            "redis",
            f"Redis uses {used / most:.0%} of the memory it may have; when that is full it accepts no jobs.",
            "Raise maxmemory, or shorten RESULT_EXPIRES.",
        )


def _clocks(told: float, before: float, after: float) -> Any:
    skew = max(told - after, before - told, 0.0)
    if skew > _MOST_SKEW:
        return problem(
            "clock",
            f"This host's clock and that of Redis differ by {skew:.1f} s: delays, schedules and expiry go by both.",
            "Have NTP set the clocks of all hosts (timedatectl set-ntp true).",
        )
    return ok("clock", "This host's clock agrees with that of Redis. Run this on the other hosts for theirs.")
