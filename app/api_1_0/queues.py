"""Queues and workers, for who looks after the service."""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import current_app
from flask_restful import Resource

from app.api_1_0.operation import Operation, operation
from app.api_1_0.queries import WorkerQuery
from app.api_1_0.schemas import QueueListSchema, WorkerListSchema
from app.api_keys import Principal, Scope
from libs.flask_celery import BrokerFigures, JobState, per_minute, read_figures, read_workers

#: Seconds in which a worker that is asked answers each of two questions.
_PATIENCE = 0.7


class QueueList(Resource):  # type: ignore[misc]
    """``queues``"""

    @operation(
        Operation(
            "Show how much waits in each queue, and for how long",
            Scope.METRICS,
            {200: QueueListSchema},
            errors=(503,),
            description="With the figures of the deployment as a whole; `/metrics` has more of them.",
        )
    )
    def get(self, _: Principal) -> Any:
        """As it is now."""
        figures = read_figures(current_app.extensions["celery"])
        ended: Counter[str] = Counter({state.value: 0 for state in JobState if state.ready})
        for (_task, state), count in figures.counts.ended.items():
            ended[state] += count
        rates = per_minute(figures.samples, figures.now)
        return {
            "at": datetime.fromtimestamp(figures.now.at, UTC),
            **_of_broker(figures.broker),
            "unfinished": figures.unfinished,
            "oldest_unfinished": figures.oldest_unfinished,
            "dead_letters": figures.failed,
            "accepted": figures.now.accepted,
            "ended": ended,
            "per_minute": None if rates is None else {"accepted": round(rates[0], 2), "ended": round(rates[1], 2)},
            "history": [
                {**asdict(sample), "at": datetime.fromtimestamp(sample.at, UTC)} for sample in figures.samples
            ],
        }, HTTPStatus.OK


class WorkerList(Resource):  # type: ignore[misc]
    """``workers``"""

    @operation(
        Operation(
            "List the workers that are up",
            Scope.METRICS,
            {200: WorkerListSchema},
            errors=(503,),
            query=WorkerQuery,
            description="By the signs that they give every 10 seconds; one that is killed or cut off is listed for "
            "half a minute more.",
        )
    )
    def get(self, _: Principal, *, query: dict[str, Any]) -> Any:
        """Those that have given a sign lately, and those that have answered when asked."""
        patience = _PATIENCE if query["ask"] else None
        return {"workers": read_workers(current_app.extensions["celery"], patience=patience)}, HTTPStatus.OK


def _of_broker(broker: BrokerFigures | None) -> dict[str, Any]:
    if broker is None:
        return dict.fromkeys(("queues", "held", "delayed", "rate_limited"))
    queues = [
        {"name": name, "waiting": queue.waiting, "oldest": queue.oldest}
        for name, queue in sorted(broker.queues.items())
    ]
    return {"queues": queues, "held": broker.held, "delayed": broker.delayed, "rate_limited": broker.in_line}
