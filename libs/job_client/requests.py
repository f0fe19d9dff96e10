"""Each request of the API that this client makes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from .flow import Request
from .options import Options, in_query
from .transfer_body import FileBody

#: Seconds for which the server holds a poll.
LONGEST_WAIT = 25.0

#: Jobs that one poll may ask for.
MOST_POLLED = 100

#: Seconds without a byte after which a stream of events is taken for dead; the server sends something every 15.
SILENCE = 45.0

_UPLOAD_PATIENCE = 120.0
_CONFLICT = frozenset({409})


def submit(task: str, params: Mapping[str, Any], options: Options) -> Request:
    """Under a key, the given one or a new one: sent again it is the same job."""
    key = options.idempotency_key or str(uuid4())
    return Request(
        "POST",
        f"tasks/{segment(task)}/jobs",
        options.query(),
        {**options.headers(), **_json, "Idempotency-Key": _quoted(key)},
        _dumped(dict(params)),
        idempotency_key=key,
    )


def retry(task_id: str, idempotency_key: str | None) -> Request:
    """Under a key as well."""
    return keyed(f"jobs/{segment(task_id)}/retry", idempotency_key or str(uuid4()))


def keyed(path: str, key: str, said: Mapping[str, Any] | None = None) -> Request:
    """A POST under a key: sent again it does nothing more."""
    headers, content = {"Idempotency-Key": _quoted(key)}, None
    if said is not None:
        headers, content = headers | _json, _dumped(said)
    return Request("POST", path, (), headers, content, idempotency_key=key)


def change(path: str, said: Mapping[str, Any]) -> Request:
    """What is to be another."""
    return Request("PATCH", path, headers=_json, content=_dumped(said))


def submit_batch(
    task: str,
    many: Iterable[Mapping[str, Any]],
    *,
    then: tuple[str, Mapping[str, Any]] | None,
    webhook: str | None,
    idempotency_key: str | None,
) -> Request:
    """Under a key; a 409 says that the request whose reply was lost is at work still."""
    key = idempotency_key or str(uuid4())
    body: dict[str, Any] = {"jobs": [{"task": task, "params": dict(params)} for params in many]}
    if then is not None:
        body["then"] = {"task": then[0], "params": dict(then[1])}
    return Request(
        "POST",
        "batches",
        () if webhook is None else (("webhook", webhook),),
        {**_json, "Idempotency-Key": _quoted(key)},
        _dumped(body),
        idempotency_key=key,
        again_on=_CONFLICT,
        read_timeout=_UPLOAD_PATIENCE,
    )


def poll(task_id: str, *, wait: float = 0.0, etag: str | None = None) -> Request:
    """The job; held for up to ``wait`` seconds until it is final or, with ``etag``, until it is another one."""
    return _held(f"results/{segment(task_id)}", (), wait, etag)


def poll_many(task_ids: Sequence[str], *, wait: float = 0.0, etag: str | None = None) -> Request:
    """Up to 100 jobs; held as :func:`poll` is."""
    return _held("results", tuple(("task_id", task_id) for task_id in task_ids), wait, etag)


def poll_batch(batch_id: str, *, wait: float = 0.0, etag: str | None = None) -> Request:
    """How many of its jobs are in which state."""
    return _held(f"batches/{segment(batch_id)}", (("limit", "0"),), wait, etag)


def cancel(kind: str, identifier: str, *, terminate: bool) -> Request:
    """Of a job (``kind`` is ``jobs``) or a batch (``batches``)."""
    return Request("DELETE", f"{kind}/{segment(identifier)}", (("terminate", in_query(terminate)),))


def page(path: str, **query: object) -> Request:
    """A page of what is listed. A sequence is said once for each of its values, None is left out."""
    pairs = [(name, value) for name, value in query.items() if value is not None]
    return Request("GET", path, tuple((name, in_query(one)) for name, value in pairs for one in _each(value)))


def logs(task_id: str, cursor: int) -> Request:
    """The lines after that one."""
    return page(f"jobs/{segment(task_id)}/logs", cursor=cursor, limit=1000)


def events(task_id: str, after: int | None) -> Request:
    """From the present state on, or after the event with that number."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    return Request("GET", f"results/{segment(task_id)}/events", headers=headers, read_timeout=SILENCE)


def dead_letters(action: str, choice: Mapping[str, Any]) -> Request:
    """``action`` is ``retry`` or ``drop``; either can be said again."""
    said = {
        name: in_query(value) if name == "since" else value for name, value in choice.items() if value is not None
    }
    return Request("POST", f"dead-letters/{action}", headers=_json, content=_dumped(said))


def upload(body: FileBody, name: str, content_type: str) -> Request:
    """Sent again when that can be; of a lost reply a file may remain, which expires as one that nobody names."""
    headers = {"Content-Type": content_type}
    if body.size is not None:
        headers["Content-Length"] = str(body.size)
    again = body.start is not None
    query = (("name", name),)
    return Request("POST", "files", query, headers, body, read_timeout=_UPLOAD_PATIENCE, repeats=again)


def download(path: str, *, start: int = 0, etag: str | None = None) -> Request:
    """From ``start`` on if it is the same file still, else all of it."""
    headers = {"Accept-Encoding": "identity"}
    if start and etag:
        headers |= {"Range": f"bytes={start}-", "If-Range": etag}
    return Request("GET", path, headers=headers)


def content_path(file_id: str) -> str:
    """The bytes of an input file."""
    return f"files/{segment(file_id)}/content"


def job_file_path(task_id: str, name: str) -> str:
    """The bytes of what a job has left."""
    return f"results/{segment(task_id)}/files/{segment(name)}"


def _held(path: str, query: tuple[tuple[str, str], ...], wait: float, etag: str | None) -> Request:
    headers = {} if etag is None else {"If-None-Match": etag}
    if wait > 0:
        query = (*query, ("wait", f"{wait:.3f}"))
    return Request("GET", path, query, headers, read_timeout=wait + 10.0)


def _each(value: object) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)


def _dumped(value: object) -> bytes:
    """Raises: TypeError, ValueError for what JSON does not have."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


def _quoted(key: str) -> str:
    """A string of RFC 8941. Raises: ValueError, without the key."""
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise ValueError("An idempotency key is 1 to 255 visible ASCII characters.")
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def segment(text: str) -> str:
    """A name as a part of a path."""
    return quote(text, safe="")


_json = {"Content-Type": "application/json"}
