"""What can go wrong between an application and its jobs. Data as attributes; HTTP is not known here."""

from libs.flask_celery.states import JobState


class FlaskCeleryError(Exception):
    """Base of every error this library raises on purpose.

    ``args`` are what the constructor takes, so that a job that fails with one crosses from its process as it is.
    """


class SettingError(FlaskCeleryError):
    """A setting cannot be used; the message names it and says what it wants."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}"


class BroadcastQueueError(FlaskCeleryError):
    """A client's job would go to a queue whose messages nobody keeps."""

    def __init__(self, task: str, exchange: str) -> None:
        super().__init__(task, exchange)
        self.task = task

    def __str__(self) -> str:
        return (
            f"Task {self.args[0]} is routed to the fanout exchange {self.args[1]}, where jobs are not kept. What "
            "clients submit wants a queue with a direct or topic exchange (CELERY_TASK_ROUTES, CELERY_TASK_QUEUES)."
        )


class UnknownTaskError(FlaskCeleryError):
    """No task of this name can be submitted."""

    def __init__(self, task: str) -> None:
        super().__init__(task)
        self.task = task

    def __str__(self) -> str:
        return f"There is no task {self.task!r}."


class InvalidParamsError(FlaskCeleryError):
    """A task's params do not fit its schema; ``messages`` is ``{field: [sentence, …]}``."""

    def __init__(self, task: str, messages: dict[str, object]) -> None:
        super().__init__(task, messages)
        self.task = task
        self.messages = messages

    def __str__(self) -> str:
        problems = "; ".join(f"{field}: {text}" for field, text in sorted(self.messages.items()))
        return f"The params of {self.task} are not valid. {problems}"


class UnknownJobError(FlaskCeleryError):
    """No job of this id was ever accepted here, as far as is still known."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"There is no job {self.task_id!r}."


class ExpiredJobError(FlaskCeleryError):
    """The job was here and final, and its result has passed its time to live."""

    def __init__(self, task_id: str, owner: str) -> None:
        super().__init__(task_id, owner)
        self.task_id = task_id
        self.owner = owner

    def __str__(self) -> str:
        return f"The result of job {self.task_id!r} has expired."


class FinalJobError(FlaskCeleryError):
    """The job is final, so it cannot be cancelled any more."""

    def __init__(self, task_id: str, state: JobState) -> None:
        super().__init__(task_id, state)
        self.task_id = task_id
        self.state = state

    def __str__(self) -> str:
        return f"Job {self.task_id!r} is already {self.state}."


class AlreadySubmittedError(FlaskCeleryError):
    """The idempotency key's job was submitted before, with the same content: it is the job asked for."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"The job was submitted before, as {self.task_id!r}."


class IdempotencyConflictError(FlaskCeleryError):
    """The idempotency key was used before, for another job."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"The idempotency key belongs to job {self.task_id!r}, whose content was another one."


class QueueFullError(FlaskCeleryError):
    """The queue holds as many messages as it may."""

    def __init__(self, queue: str, limit: int) -> None:
        super().__init__(queue, limit)
        self.queue = queue
        self.limit = limit

    def __str__(self) -> str:
        return f"Queue {self.queue!r} holds {self.limit} jobs and takes no more for now."


class OwnerLimitError(FlaskCeleryError):
    """The owner has as many unfinished jobs as one may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"The owner has {self.limit} unfinished jobs, which is the most there may be."


class NotRepeatableError(FlaskCeleryError):
    """The job's message is not kept any more, or in a serialisation not accepted now, so it cannot be run again."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"What job {self.task_id!r} was submitted with is not known or not accepted any more."


class UnfinishedJobError(FlaskCeleryError):
    """The job is not final, so there is nothing to run again yet."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"Job {self.task_id!r} has not ended yet."


class ResultTooLargeError(FlaskCeleryError):
    """What the job has returned is too large to be stored; the message says what to do, as it is the job's error."""


class TooManyFilesError(FlaskCeleryError):
    """The job has left as many files as one may; the message says what to do."""


class UnknownScheduleError(FlaskCeleryError):
    """There is no schedule of this id."""

    def __init__(self, schedule_id: str) -> None:
        super().__init__(schedule_id)
        self.schedule_id = schedule_id

    def __str__(self) -> str:
        return f"There is no schedule {self.schedule_id!r}."


class ScheduleChangedError(FlaskCeleryError):
    """The schedule is not the version any more that was to be changed."""

    def __init__(self, schedule_id: str) -> None:
        super().__init__(schedule_id)
        self.schedule_id = schedule_id

    def __str__(self) -> str:
        return f"Schedule {self.schedule_id!r} has been changed meanwhile."


class ScheduleLimitError(FlaskCeleryError):
    """The owner has as many schedules as one may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"The owner has {self.limit} schedules, which is the most there may be."


class BrokerUnavailableError(FlaskCeleryError):
    """Redis, or the broker, did not answer in time; nothing was accepted that the caller knows of."""


class JobCancelled(BaseException):
    """Raised inside a running job, at its next progress call, once somebody has cancelled it.

    Not an ``Exception``: a job's own ``except Exception`` must not swallow the request to stop.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id


class JobOvertaken(BaseException):
    """Raised inside a run that another run of the same job has replaced, because this one's lease had ended.

    Not an ``Exception``, like :class:`JobCancelled`: there is nothing the job could do about it.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id
