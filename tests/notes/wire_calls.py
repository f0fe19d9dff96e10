"""What is published by a client of either system (``tests.against_stock.client``) for its messages to be looked at.

Everything goes to the queue ``kept``, which no worker consumes, but for what says otherwise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from celery import Celery, chain, chord, group
from celery.schedules import schedule as every

from tests.notes.result_jobs import (
    add,
    add_up,
    answer,
    fail,
    go_file,
    hold,
    ignored,
    live,
    move_on,
    note_error,
    retry_elsewhere,
    spread,
)

QUEUE = "kept"
LATER = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def publish(app: Celery, variant: str) -> list[str]:
    """Returns: the ids of the jobs published, as far as they have been named."""
    result = VARIANTS[variant]()
    return [part.id for part in getattr(result, "results", None) or [result]]


def to_kept(signature: Any) -> Any:
    return signature.set(queue=QUEUE)


def stamped() -> Any:
    signature = to_kept(add.s(1, 2))
    signature.stamp(customer="ann", append_stamps=True)
    return signature.apply_async()


VARIANTS = {
    "plain": lambda: add.apply_async((1,), {"second": 2}, queue=QUEUE),
    "words": lambda: answer.apply_async(({"ä": ["ö", None, 1.5, {"ü": "漢字"}]},), queue=QUEUE),
    "options": lambda: add.apply_async(
        (1, 2),
        queue=QUEUE,
        shadow="shown",
        time_limit=60,
        soft_time_limit=50,
        ignore_result=True,
        reply_to="an address",
        argsrepr="(shown)",
        kwargsrepr="{}",
        root_id="root",
        parent_id="p",
    ),
    "headers": lambda: add.apply_async((1, 2), queue=QUEUE, headers={"customer": "ann", "n": [1, {"deep": True}]}),
    "eta": lambda: add.apply_async((1, 2), queue=QUEUE, eta=LATER),
    "countdown": lambda: add.apply_async((1, 2), queue=QUEUE, countdown=3600),
    "expires": lambda: add.apply_async((1, 2), queue=QUEUE, expires=LATER),
    "expires in seconds": lambda: add.apply_async((1, 2), queue=QUEUE, expires=3600),
    "priority": lambda: add.apply_async((1, 2), queue=QUEUE, priority=6),
    "compressed": lambda: add.apply_async((1, 2), queue=QUEUE, compression="zlib"),
    "ignored": lambda: ignored.apply_async(("x",), queue=QUEUE),
    "link": lambda: add.apply_async((1, 2), queue=QUEUE, link=[add.s(3), add.s(4)], link_error=note_error.s("x")),
    "chain": lambda: chain(to_kept(add.s(1, 2)), add.s(3), chain(add.s(4), answer.s())).apply_async(),
    "group": lambda: group(to_kept(add.s(1, 1)), to_kept(add.s(2, 2))).apply_async(),
    "chord": lambda: chord([to_kept(add.s(1, 1)), to_kept(add.s(2, 2))])(add_up.s()),
    "stamped": stamped,
}


def publish_from_job(app: Celery, what: str) -> str:
    """What a worker of the queue ``work`` puts into ``kept``: a retry, and what follows a job. Returns: an id."""
    match what:
        case "retry":
            return str(retry_elsewhere.apply_async((QUEUE,), queue="work").id)
        case "next of a chain":
            return str(chain(add.s(1, 2).set(queue="work"), to_kept(add.s(3))).apply_async().id)
        case "callback":
            return str(add.apply_async((1, 2), queue="work", link=to_kept(add.s(3))).id)
        case "errback":
            failed = fail.apply_async(queue="work", link_error=to_kept(answer.s()))
            return str(failed.id)
        case "body of a chord":
            parts = [add.s(1, 1).set(queue="work"), add.s(2, 2).set(queue="work")]
            return str(chord(parts)(to_kept(add_up.s())).id)
    return str(move_on.apply_async((QUEUE,), queue="work").id)


def send(app: Celery, task: str, args: list[Any], options: dict[str, Any]) -> str:
    return str(app.send_task(task, args, **options).id)


def submit_by_beat(app: Celery) -> str:
    """As each system's scheduler submits an entry of the code that is due."""
    if not hasattr(app, "terms"):
        from celery.beat import ScheduleEntry, Scheduler

        arguments = {"args": (1,), "kwargs": {"second": 2}, "options": {"queue": QUEUE}}
        entry = ScheduleEntry("tick", "result.add", schedule=every(60), **arguments, app=app)
        return str(Scheduler(app, lazy=True).apply_async(entry, advance=False).id)
    from libs.flask_celery import Schedule, ScheduleSource
    from libs.flask_celery.schedules.firing import submit_due

    given = {"args": (1,), "params": {"second": 2}, "options": {"queue": QUEUE}, "source": ScheduleSource.CODE}
    return submit_due(app, Schedule("tick", "result.add", every(60), **given), 1_900_000_000_000)


def as_ann(app: Any) -> dict[str, str]:
    from app.api_keys import Scope, create_key
    from app.extensions import db

    with app.flask_app.app_context():
        db.create_all()
        key = create_key(db.session(), "ann", set(Scope))
        db.session.commit()
    return {"Authorization": f"Bearer {key}"}


def submit_over_http(app: Any, path: str, body: Any) -> list[str]:
    """Of ours alone, as ann. Returns: the task ids."""
    headers = {**as_ann(app), "X-Request-ID": "a-request", "Accept-Language": "zh"}
    answered = app.flask_app.test_client().post(f"/api/1.0/{path}", json=body, headers=headers)
    assert answered.status_code in (200, 202), answered.text
    if "task_id" in answered.json:
        return [answered.json["task_id"]]
    batch_id = answered.json["batch_id"]
    return [task_id.decode() for task_id in app.backend.client.zrange(app.backend.keys.batch_jobs(batch_id), 0, -1)]


def fail_in_queue(app: Any, task_id: str) -> None:
    """Ours alone: the job ends as a failure, though no worker has run it."""
    error = app.backend.prepare_exception(ValueError("told to fail"))
    assert app.backend.store_state(task_id, error, "FAILURE")


def retry_dead_letter(app: Any, task_id: str) -> None:
    """Ours alone, over HTTP."""
    headers = {**as_ann(app), "X-Request-ID": "another-request", "Accept-Language": "zh"}
    answered = app.flask_app.test_client().post(
        "/api/1.0/dead-letters/retry", json={"task_ids": [task_id]}, headers=headers
    )
    assert answered.status_code == 200, answered.text
    assert "retried" in answered.text, answered.text


def put_back(app: Any) -> list[str]:
    """Ours alone: what the reconciler of any worker does about what has been lost."""
    from libs.flask_celery.reconcile import Reconciliation

    with app.producer_pool.acquire() as producer:
        return Reconciliation(app, grace=0.0).run(producer.channel)


def leave_record(app: Celery, kind: str) -> str:
    """Publish a job whose record will show what is asked for. Returns: its id."""
    match kind:
        case "success":
            result = add.delay(1, 2)
        case "failure":
            result = fail.delay("builtin")
        case "own failure":
            result = fail.delay("own")
        case "started":
            result = hold.delay(f"{kind} record")
        case "progress" | "retry":
            label = f"{kind} record"
            result = live.delay(label)
            for step in ("counting", "retry") if kind == "retry" else ("counting",):
                go_file(f"{label}-{step}").touch()
        case "expired":
            result = add.apply_async((1, 2), expires=-1)
        case "part of a group":
            result = group(add.s(1, 1), add.s(2, 2)).apply_async()[1]
        case "next of a chain":
            result = chain(add.s(1, 2), add.s(3)).apply_async()
        case _:
            result = spread.delay(2)
    return str(result.id)
