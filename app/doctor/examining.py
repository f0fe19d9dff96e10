"""All checks, one after the other."""

from collections.abc import Callable, Iterator

from flask import Flask

from app.doctor.database import check_database
from app.doctor.disks import check_disks
from app.doctor.finding import Finding, Findings, Level, problem
from app.doctor.redis_servers import check_redis
from app.doctor.settings import check_settings
from app.doctor.workers import check_beat, check_workers

_CHECKS: tuple[Callable[[Flask], Findings], ...] = (
    check_settings,
    check_redis,
    check_database,
    check_workers,
    check_beat,
    check_disks,
)


def examine(app: Flask) -> Iterator[Finding]:
    """What each check finds. One that breaks off is a problem itself, and keeps nobody from the others."""
    for check in _CHECKS:
        try:
            with app.app_context():
                yield from check(app)
        except Exception as error:
            app.logger.debug("A check broke off", exc_info=error)
            name = check.__name__.removeprefix("check_")
            yield problem(
                name, f"This could not be looked at ({type(error).__name__}).", "Run it again with LOG_LEVEL=DEBUG."
            )


def settings_problem(error: Exception) -> Finding:
    """What keeps the application from being built; its words name the setting and what it wants."""
    return Finding(Level.PROBLEM, "settings", str(error), "Correct it in the environment or in .env.")
