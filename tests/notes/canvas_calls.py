"""What is done with the results of groups, chains and chords, of callbacks and of jobs that publish jobs.

As ``result_calls``.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from celery import Celery, chain, chord, group

from tests.notes.result_calls import LONG, held, let_go, look, outcome, until
from tests.notes.result_jobs import add, add_up, answer, fail, hold, note_end, note_error, note_failed_id, spread


def follow_children(app: Celery) -> dict[str, Any]:
    """Of a job that answers with the group it has published."""
    result = spread.delay(3)
    value = result.get(timeout=LONG)
    [children] = result.children
    until(children.ready)
    anew = app.AsyncResult(result.id)
    return {
        "value": value == [[children.id, None], [[[child.id, None], None] for child in children]],
        "children": [child.get(timeout=LONG) for child in children],
        "leaves": sorted(value for child, value in anew.collect() if not child.children),
        "leaf": app.AsyncResult(result.id).get_leaf(),
        "nodes": len(list(anew.iterdeps())),
    }


def follow_too_early(app: Celery) -> list[Any]:
    result = held()
    seen = [outcome(lambda: list(result.iterdeps()))["raised"]]
    seen.append(outcome(lambda: list(result.collect(timeout=0.2)))["raised"])
    seen.append([name is None for name, _ in result.iterdeps(intermediate=True)])
    let_go(result)
    return seen


def run_chain(app: Celery) -> dict[str, Any]:
    last = chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()
    middle, first = last.parent, last.parent.parent
    return {
        "values": [result.get(timeout=LONG) for result in (last, middle, first)],
        "first": first.parent is None and last.as_list() == [last.id, middle.id, first.id],
        "children": [child.id for result in (first, middle) for child in result.children] == [middle.id, last.id],
        "anew": app.AsyncResult(last.id).parent is None,
        "tuple": last.as_tuple()[0][1] == middle.as_tuple(),
    }


def fail_chain(app: Celery) -> dict[str, Any]:
    last = chain(answer.s(1), fail.si("builtin"), add.s(1), add.s(1)).apply_async()
    raised = outcome(lambda: last.get(timeout=LONG))
    never, failed, first = last.parent, last.parent.parent, last.parent.parent.parent
    until(never.ready)
    return {
        **raised,
        "states": [result.state for result in (first, failed, never, last)],
        "not of its parents": outcome(lambda: app.AsyncResult(last.id).get(timeout=LONG, follow_parents=False)),
    }


def run_group(app: Celery) -> dict[str, Any]:
    """Two parts that have ended, and one that runs until it is told."""
    label = uuid4().hex
    result = group(add.s(1, 1), hold.s(label, 20), add.s(2, 2)).apply_async()
    until(lambda: result.completed_count() == 2)
    under_way = [result.ready(), result.waiting(), result.successful(), result.failed(), len(result)]
    too_early = outcome(lambda: result.get(timeout=0.2))
    result.label = label
    let_go(result)
    return {
        "under way": under_way,
        "too early": too_early["raised"],
        "get": result.get(timeout=LONG),
        "join": result.join(timeout=LONG),
        "native": result.join_native(timeout=LONG),
        "at the end": [result.ready(), result.waiting(), result.successful(), result.failed()],
        "parts": [look(part)[:5] for part in result],
        "children": result.children == result.results,
    }


def iterate_group(app: Celery) -> dict[str, Any]:
    result = group(add.s(number, number) for number in range(5)).apply_async()
    places = {part.id: place for place, part in enumerate(result)}
    native = {places[task_id]: meta["result"] for task_id, meta in result.iter_native(timeout=LONG)}
    told: dict[int, Any] = {}
    returned = result.get(timeout=LONG, callback=lambda task_id, value: told.update({places[task_id]: value}))
    ready: list[Any] = []
    again = group(answer.s(number) for number in range(2)).apply_async()
    again.then(lambda all_of_it: ready.append(all_of_it.id == again.id))
    again.get(timeout=LONG)
    return {
        "native": [native[place] for place in range(5)],
        "told": [told[place] for place in range(5)],
        "returned": returned,
        "then": ready,
        "empty": group([]).apply_async().get(),
    }


def fail_group(app: Celery) -> dict[str, Any]:
    result = group(add.s(1, 1), fail.s("own"), add.s(2, 2)).apply_async()
    until(result.ready)
    returned = result.get(timeout=LONG, propagate=False)
    return {
        **outcome(lambda: result.get(timeout=LONG)),
        "join": outcome(lambda: result.join(timeout=LONG))["raised"],
        "returned": [repr(value) for value in returned],
        "state": [result.ready(), result.successful(), result.failed(), result.completed_count()],
    }


def keep_group(app: Celery) -> dict[str, Any]:
    result = group(add.s(1, 1), group(add.s(2, 2), add.s(3, 3))).apply_async()
    result.save()
    restored = app.GroupResult.restore(result.id)
    values = restored.get(timeout=LONG)
    result.delete()
    restored.forget()
    gone = app.GroupResult.restore(result.id)
    return {
        "same": restored == result,
        "values": values,
        "deleted": gone is None,
        "forgotten": [app.AsyncResult(part.id).state for part in result],
    }


def revoke_group(app: Celery) -> dict[str, Any]:
    result = group(answer.s(1), answer.s(2)).apply_async(countdown=1)
    result.revoke()
    until(result.ready)
    return {"states": [part.state for part in result], **outcome(lambda: result.get(timeout=LONG))}


def run_chord(app: Celery, kind: str) -> dict[str, Any]:
    match kind:
        case "simple":
            result = chord([add.s(1, 1), add.s(2, 2)])(add_up.s())
            parts = result.parent.get(timeout=LONG)
            return {"value": result.get(timeout=LONG), "parts": parts, "children": len(result.parent.children)}
        case "empty":
            result = chord([])(add_up.s())
        case "large":
            result = chord(add.s(number, 1) for number in range(100))(add_up.s())
        case "one":
            result = chord([add.s(3, 4)])(add_up.s())
        case "nested":
            inner = chord([add.s(1, 1), add.s(2, 2)], add_up.s())
            result = chord([inner, add.s(3, 3)])(add_up.s())
        case "group of groups":
            result = chord([group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)])(answer.s())
        case "in a chain":
            result = chain(add.s(1, 1), chord([add.s(1), add.s(2)], add_up.s()), add.s(10)).apply_async()
        case "of chains":
            result = chord([chain(add.s(1, 1), add.s(2)), chain(add.s(3, 3), add.s(4))])(add_up.s())
        case "group, then a job":
            result = (group(add.s(1, 1), add.s(2, 2)) | add_up.s()).apply_async()
    return {"value": result.get(timeout=LONG)}


def fail_chord(app: Celery) -> dict[str, Any]:
    label = uuid4().hex
    header = [add.s(1, 1), fail.s("builtin"), add.s(2, 2)]
    result = chord(header)(add_up.s().on_error(note_error.s(label)))
    failed = result.parent[1].id
    seen = outcome(lambda: result.get(timeout=LONG, follow_parents=False))
    until(result.parent.ready)
    return {
        **seen,
        "args": [text.replace(failed, "its part") for text in seen["args"]],
        "with its parents": outcome(lambda: result.get(timeout=LONG)),
        "anew": outcome(lambda: app.AsyncResult(result.id).get(timeout=LONG))["raised"],
        "state": result.state,
        "header": [part.state for part in result.parent],
        "label": label,
        "body": result.id,
    }


def fail_body(app: Celery) -> dict[str, Any]:
    result = chord([add.s(1, 1)])(fail.si("own"))
    return outcome(lambda: result.get(timeout=LONG))


def call_back(app: Celery) -> dict[str, Any]:
    """``link``, and both kinds of ``link_error``."""
    label = uuid4().hex
    result = add.apply_async((1, 2), link=[add.s(10), note_end.s(label)])
    result.get(timeout=LONG)
    linked = [child.get(timeout=LONG) for child in result.children]
    errbacks = [note_error.s(label=f"{label}-error"), note_failed_id.s()]
    failed = fail.apply_async(("own",), link=note_end.s(f"{label}-not"), link_error=errbacks)
    failed.get(timeout=LONG, propagate=False)
    return {"linked": linked, "label": label, "failed": failed.id}
