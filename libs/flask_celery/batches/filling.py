"""Accepting the jobs of a batch, some hundred at a time where record and message are in one Redis."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from libs.flask_celery.acceptance import PlaceInBatch, under_terms, webhook_of_caller
from libs.flask_celery.batches.accept_many_script import ACCEPT_MANY, ACCEPTED, OWNER_FULL, QUEUE_FULL
from libs.flask_celery.batches.errors import BatchInProgressError, CancelledBatchError
from libs.flask_celery.batches.messages import MessageTemplate
from libs.flask_celery.batches.scripts import CANCELLED, FILLED
from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.errors import FlaskCeleryError, OwnerLimitError, QueueFullError
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.publishing import is_regular, publish_job
from libs.flask_celery.submit import with_key
from libs.flask_celery.transport import OPTION, RecordingChannelMixin, RecordPlace

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery


#: Options of which many jobs have the same, so that their messages have all but their own in common.
_SAME_FOR_MANY = ("priority", "queue")


@dataclass(frozen=True, slots=True)
class BatchItem:
    """A job to be submitted with a batch.

    Args:
        params: of its task, as JSON.
        options: publish options of ``Task.apply_async``. With others than these it is published by itself:
            ``eta``, ``priority``, ``queue``.
        idempotency_key: the caller's name for this one job, as in ``submit``; published by itself too.
        content: what the caller has said beside the params, as in ``submit``.
        said: the whole of what the caller has said, in one spelling; made from the others when empty.
    """

    task: str
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    content: Any = None
    said: bytes = b""


@dataclass(frozen=True, slots=True)
class PlacedItem:
    """An item, its place in the batch and the id that its job shall have."""

    place: int
    task_id: str
    item: BatchItem


#: A place, and why its item was refused if it was.
_Outcomes = Iterator[tuple[int, Exception | None]]


class BatchFilling:
    """One attempt to fill one batch."""

    def __init__(self, celery_app: "FlaskCelery", facts: SubmissionFacts, batch_id: str, attempt: int) -> None:
        self._app = celery_app
        self._facts = facts
        self._batch_id = batch_id
        self._attempt = attempt
        self._templates: dict[tuple[Any, ...], MessageTemplate] = {}
        option = (celery_app.conf.broker_transport_options or {}).get(OPTION)
        self._records = RecordPlace(**option) if option else None
        self._is_regular: dict[str, bool] = {}

    def accept(self, items: Sequence[PlacedItem]) -> _Outcomes:
        """Accept items, and say for each what became of it.

        Raises: ``UNAVAILABLE`` when the broker is away, with what was not told in doubt; BatchInProgressError.
        """
        for together, group in groupby(items, key=lambda placed: self._goes_together(placed.item)):
            accept = self._together if together else self._one_by_one
            yield from accept(list(group))

    def _goes_together(self, item: BatchItem) -> bool:
        if (
            self._records is None
            or item.idempotency_key is not None
            or not item.options.keys() <= {"eta", *_SAME_FOR_MANY}
        ):
            return False
        if not isinstance(item.options.get("queue", ""), str):
            return False
        if item.task not in self._is_regular:
            self._is_regular[item.task] = is_regular(self._app, self._app.tasks[item.task])
        return self._is_regular[item.task]

    def _one_by_one(self, items: Sequence[PlacedItem]) -> _Outcomes:
        for placed in items:
            item = placed.item
            terms = with_key(
                replace(self._app.terms, batch=PlaceInBatch(self._batch_id, self._attempt, placed.place)),
                self._facts.owner,
                item.idempotency_key,
                [item.task, item.params, item.content],
            )
            try:
                with under_terms(terms):
                    publish_job(self._app.tasks[item.task], item.params, placed.task_id, self._facts, **item.options)
            except BatchInProgressError:
                raise
            except (FlaskCeleryError, TypeError) as refusal:
                yield placed.place, refusal
            else:
                yield placed.place, None

    def _together(self, items: Sequence[PlacedItem]) -> _Outcomes:
        queues: dict[tuple[str, str], int] = {}  # list and queue → number
        arguments: list[Any] = []
        sent: list[tuple[int, str]] = []  # place and queue
        with broker_channel(self._app) as channel:
            if not isinstance(channel, RecordingChannelMixin) or self._records is None:
                raise TypeError("Jobs are accepted together by Redis alone.")
            for placed in items:
                item, task = placed.item, self._app.tasks[placed.item.task]
                try:
                    if task.typing:
                        task.__header__(**item.params)  # as Celery does
                    template = self._template(item)
                except TypeError as refusal:
                    yield placed.place, refusal
                    continue
                job = template.job(placed.task_id, item.params, item.options.get("eta"))
                where = (channel.list_for(template.queue, template.message), template.queue)
                number = queues.setdefault(where, len(queues) + 1)
                arguments += [
                    number,
                    item.task,
                    job.task_id,
                    placed.place,
                    job.eta,
                    job.message,
                    job.record,
                    job.copy,
                ]
                sent.append((placed.place, template.queue))
            if sent:
                yield from self._sent(channel, queues, arguments, sent, self._records)

    def _template(self, item: BatchItem) -> MessageTemplate:
        options = {name: item.options[name] for name in _SAME_FOR_MANY if name in item.options}
        known_as = (item.task, *options.items())
        template = self._templates.get(known_as)
        if template is None:
            template = MessageTemplate(self._app.tasks[item.task], item.params, self._facts, options)
            self._templates[known_as] = template
        return template

    def _sent(
        self,
        channel: RecordingChannelMixin,
        queues: Mapping[tuple[str, str], int],
        arguments: Sequence[Any],
        sent: Sequence[tuple[int, str]],
        records: RecordPlace,
    ) -> _Outcomes:
        terms, facts = self._app.terms, self._facts
        answer, *outcomes = channel.run_script(
            ACCEPT_MANY,
            [key for list_name, queue in queues for key in (list_name, *channel.lists_of(queue))],
            [
                *(channel.database, records.database, records.prefix, self._batch_id, self._attempt),
                *(facts.owner, facts.submitted_at, terms.queue_limit, terms.owner_limit),
                *(webhook_of_caller(facts.owner), len(queues), *(queue for _, queue in queues), *arguments),
            ],
        )
        if answer == CANCELLED:
            yield from ((place, CancelledBatchError(self._batch_id)) for place, _ in sent)
            return
        if answer != FILLED:
            raise BatchInProgressError(self._batch_id)
        for _, queue in queues:
            channel.renew_expiry(queue)
        for (place, queue), outcome in zip(sent, outcomes, strict=True):
            yield place, self._refusal(outcome, queue)

    def _refusal(self, outcome: int, queue: str) -> Exception | None:
        terms = self._app.terms
        if outcome == ACCEPTED:
            return None
        if outcome == QUEUE_FULL:
            return QueueFullError(queue, terms.queue_limit)
        if outcome == OWNER_FULL:
            return OwnerLimitError(terms.owner_limit)
        return RuntimeError(f"The list of queue {queue!r} cannot be pushed to.")
