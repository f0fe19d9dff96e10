"""``@job``: a task that clients may submit, with the schema of its params. A thin layer on ``shared_task``."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from celery import Celery, shared_task
from marshmallow import Schema, ValidationError, missing

from libs.flask_celery.errors import InvalidParamsError, UnknownTaskError
from libs.flask_celery.params_loading import ParamsLoader
from libs.flask_celery.rate_limits import RateScope, check_rate_limit
from libs.flask_celery.unique import Unique


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What is known of a job before it runs."""

    name: str
    params: type[Schema]
    description: str
    queue: str | None
    example: Mapping[str, Any] | None
    argument_names: tuple[str, ...]
    offered: bool = True  # to clients
    queues: tuple[str, ...] = ()  # that may be chosen instead
    unique: Unique | None = None  # among which of its jobs one at a time is under way

    @property
    def summary(self) -> str:
        """The description's first line."""
        return self.description.partition("\n")[0]

    def load(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Validate what a message carries, by position or by name, into the function's keyword arguments.

        Values that a Python caller passed typed (a datetime, a Decimal) are taken as they are: marshmallow's fields
        load their own type.
        Raises: InvalidParamsError.
        """
        if len(args) > len(self.argument_names):
            count = len(self.argument_names)
            raise InvalidParamsError(self.name, {"_schema": [f"Takes {count} arguments, not {len(args)}."]})
        return self.load_body(dict(zip(self.argument_names, args, strict=False)) | dict(kwargs))

    def load_body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Validate a JSON object. Raises: InvalidParamsError."""
        try:
            loaded = _kept(self.params).load(body)
        except ValidationError as error:
            raise InvalidParamsError(self.name, error.normalized_messages()) from error  # type: ignore[no-untyped-call]
        return loaded


@cache
def _kept(params: type[Schema]) -> ParamsLoader:
    """Made once: a schema copies all of its fields when it is made, which takes longer than loading with it."""
    return ParamsLoader(params())


def job(
    name: str,
    *,
    params: type[Schema],
    queue: str | None = None,
    queues: Sequence[str] = (),
    example: Mapping[str, Any] | None = None,
    offered: bool = True,
    transactional: bool = False,
    unique: str | None = None,
    scope: str = RateScope.WORKER,
    **options: Any,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a task that clients may submit.

    Args:
        name: the stable public name, ``package.verb_object``.
        params: the marshmallow schema of the function's keyword arguments.
        queue: where it waits; the default queue when None.
        queues: other queues that whoever submits it may choose.
        example: params to show in the API's documentation.
        offered: False for one that clients neither see nor submit: for schedules in code and for other jobs.
        transactional: apply the job's database work exactly once, however often the job is delivered.
        unique: one job at a time: of each owner ("owner"), of each owner with the same params ("params"), or of all
            ("task"). Whoever submits another one meanwhile is answered with the one that is under way (``unique``).
        scope: whom ``rate_limit`` holds for: each ``worker`` for itself, as in Celery, or all together (``global``).
        options: any option of Celery's ``shared_task`` (``time_limit``, ``bind``, ``max_retries``, …).

    The function's docstring is its description in the API. The decorated function can still be called directly.
    Raises: ValueError for another ``unique``, and for one that is acknowledged before it runs: nobody would know then
        whether it still does; for a rate or a scope that is none.
    """
    if unique is not None and options.get("acks_late") is False:
        raise ValueError(f"{name} is unique, so it cannot have acks_late=False.")
    check_rate_limit(options.get("rate_limit"), scope)

    def declare(function: Callable[..., Any]) -> Any:
        names = [parameter.name for parameter in inspect.signature(function).parameters.values()]
        spec = JobSpec(
            name=name,
            params=params,
            description=inspect.cleandoc(function.__doc__ or ""),
            queue=queue,
            offered=offered,
            queues=tuple(queues),
            example=example,
            unique=None if unique is None else Unique(unique),
            argument_names=tuple(names[1:] if options.get("bind") else names),
        )
        # Celery compares a publish with the function's arguments, which are not what clients send where a field has
        # another name outside or a default; the schema says so then.
        loaded_as_sent = all(
            not field.data_key and field.load_default is missing for field in params().fields.values()
        )
        options.setdefault("typing", loaded_as_sent)
        options.setdefault("rate_limit_scope", scope)
        return shared_task(name=name, job_spec=spec, transactional=transactional, **options)(function)

    return declare


def job_specs(celery_app: Celery) -> dict[str, JobSpec]:
    """Every job that clients may submit, by name, in the order of the names."""
    found = ((name, getattr(task, "job_spec", None)) for name, task in celery_app.tasks.items())
    return dict(sorted((name, spec) for name, spec in found if spec is not None and spec.offered))


def job_spec(celery_app: Celery, name: str) -> JobSpec:
    """One that clients may submit. Raises: UnknownTaskError."""
    spec: JobSpec | None = getattr(celery_app.tasks.get(name), "job_spec", None)
    if spec is None or not spec.offered:
        raise UnknownTaskError(name)
    return spec
