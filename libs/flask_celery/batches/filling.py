"""Accepting the jobs of a batch, some hundred at a time where record and message are in one Redis."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from libs.flask_celery.acceptance import PlaceInBatch, under_terms, webhook_of_caller
from libs.flask_celery.batches.accept_many_script import ACCEPT_MANY, ACCEPTED, OWNER_FULL, QUEUE_FULL
from libs.flask_celery.batches.calls import ScriptCalls
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

#: Of whom many have times of their own, so that no more of their messages are kept in mind.
_TEMPLATES_KEPT = 500

#: Calls that may be under way while another one is put together.
_AHEAD = 1


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
    """One attempt to fill one batch. To be used in a ``with`` block."""

    def __init__(self, celery_app: "FlaskCelery", facts: SubmissionFacts, batch_id: str, attempt: int) -> None:
        self._app = celery_app
        self._facts = facts
        self._batch_id = batch_id
        self._attempt = attempt
        self._templates: dict[tuple[Any, ...], MessageTemplate] = {}
        option = (celery_app.conf.broker_transport_options or {}).get(OPTION)
        self._records = RecordPlace(**option) if option else None
        self._is_regular: dict[str, bool] = {}
        self._calls: ScriptCalls | None = None
        self._under_way: deque[_Call] = deque()

    def __enter__(self) -> "BatchFilling":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._calls is not None:
            self._calls.close()

    def accept(self, items: Sequence[PlacedItem]) -> _Outcomes:
        """Accept items, and say what became of them and of earlier ones, as far as that is known by now.

        Raises: ``UNAVAILABLE`` when the broker is away, with what was not told in doubt; BatchInProgressError.
        """
        for together, group in groupby(items, key=lambda placed: self._goes_together(placed.item)):
            accept = self._together if together else self._one_by_one
            yield from accept(list(group))

    def rest(self) -> _Outcomes:
        """What became of those of whom nothing has been said. Raises: as :meth:`accept`."""
        while self._under_way:
            yield from self._answered()

    def _goes_together(self, item: BatchItem) -> bool:
        if self._records is None or item.idempotency_key is not None:
            return False
        if item.options and not (
            item.options.keys() <= {"eta", *_SAME_FOR_MANY} and isinstance(item.options.get("queue", ""), str)
        ):
            return False
        if item.task not in self._is_regular:
            self._is_regular[item.task] = is_regular(self._app, self._app.tasks[item.task])
        return self._is_regular[item.task]

    def _one_by_one(self, items: Sequence[PlacedItem]) -> _Outcomes:
        yield from self.rest()  # they are queued in the order sent
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
        call = _Call()
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
                call.add(placed, template, channel)
            if call.sent:
                self._send(channel, call, self._records)
        while len(self._under_way) > _AHEAD:
            yield from self._answered()

    def _template(self, item: BatchItem) -> MessageTemplate:
        options = {name: item.options[name] for name in _SAME_FOR_MANY if name in item.options}
        eta = item.options.get("eta")
        known_as = (item.task, eta, *options.items())
        template = self._templates.get(known_as)
        if template is None:
            if len(self._templates) >= _TEMPLATES_KEPT:
                self._templates.clear()
            template = MessageTemplate(self._app.tasks[item.task], item.params, self._facts, options, eta)
            self._templates[known_as] = template
        return template

    def _send(self, channel: RecordingChannelMixin, call: "_Call", records: RecordPlace) -> None:
        terms, facts = self._app.terms, self._facts
        if self._calls is None:
            self._calls = ScriptCalls(channel.pool, ACCEPT_MANY)
        self._calls.send(
            [key for list_name, queue in call.queues for key in (list_name, *channel.lists_of(queue))],
            [
                *(channel.database, records.database, records.prefix, self._batch_id, self._attempt),
                *(facts.owner, facts.submitted_at, terms.queue_limit, terms.owner_limit),
                *(webhook_of_caller(facts.owner), str(uuid4())[:24], len(call.queues), len(call.templates)),
                *(queue for _, queue in call.queues),
                *(argument for template in call.templates for argument in template),
                *call.items,
                channel.global_keyprefix,
            ],
        )
        self._under_way.append(call)

    def _answered(self) -> _Outcomes:
        """What became of the jobs that were sent first."""
        call = self._under_way.popleft()
        answer, *outcomes = self._calls.receive() if self._calls else [b""]
        if answer == CANCELLED:
            yield from ((place, CancelledBatchError(self._batch_id)) for place, _ in call.sent)
            return
        if answer != FILLED:
            raise BatchInProgressError(self._batch_id)
        with broker_channel(self._app) as channel:
            for _, queue in call.queues:
                channel.renew_expiry(queue)  # type: ignore[union-attr]
        for (place, queue), outcome in zip(call.sent, outcomes, strict=True):
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


class _Call:
    """Jobs that are sent in one call of the script."""

    def __init__(self) -> None:
        self.queues: dict[tuple[str, str], int] = {}  # list and queue → number
        self.templates: list[tuple[Any, ...]] = []  # as the script is told of them
        self.items: list[Any] = []
        self.sent: list[tuple[int, str]] = []  # place and queue
        self._numbers: dict[MessageTemplate, int] = {}

    def add(self, placed: PlacedItem, template: MessageTemplate, channel: RecordingChannelMixin) -> None:
        """One more job."""
        number = self._numbers.get(template)
        if number is None:
            where = (channel.list_for(template.queue, template.message), template.queue)
            self.templates.append((self.queues.setdefault(where, len(self.queues) + 1), *template.arguments))
            number = self._numbers[template] = len(self.templates)
        self.items += (number, placed.task_id, placed.place, *template.values(placed.item.params))
        self.sent.append((placed.place, template.queue))
