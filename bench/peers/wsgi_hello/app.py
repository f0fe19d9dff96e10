"""gunicorn and nothing else."""

from collections.abc import Callable, Iterable

ANSWER = b'{"task_id":"none","ready":true}'


def wsgi_app(_: dict[str, object], start: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(ANSWER)))])
    return [ANSWER]
