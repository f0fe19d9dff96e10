"""What can go wrong with a batch. Data as attributes; HTTP is not known here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from libs.flask_celery.errors import FlaskCeleryError

if TYPE_CHECKING:
    from libs.flask_celery.batches.outcomes import Outcome


class BatchError(FlaskCeleryError):
    """About one batch."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(batch_id)
        self.batch_id = batch_id


class UnknownBatchError(BatchError):
    """No batch of this id was ever accepted here, as far as is still known."""

    def __str__(self) -> str:
        return f"There is no batch {self.batch_id!r}."


class ExpiredBatchError(BatchError):
    """The batch was here and over, and the time has passed for which it is kept."""

    def __init__(self, batch_id: str, owner: str) -> None:
        super().__init__(batch_id)
        self.args = (batch_id, owner)
        self.owner = owner

    def __str__(self) -> str:
        return f"Batch {self.batch_id!r} has expired."


class FinalBatchError(BatchError):
    """All jobs of the batch are final, so it cannot be cancelled any more."""

    def __str__(self) -> str:
        return f"Batch {self.batch_id!r} is over."


class CancelledBatchError(BatchError):
    """The batch was cancelled before this job of it was accepted."""

    def __str__(self) -> str:
        return f"Batch {self.batch_id!r} has been cancelled and takes no more jobs."


class BatchInProgressError(BatchError):
    """The batch is being submitted by another request, under the same idempotency key."""

    def __str__(self) -> str:
        return f"Batch {self.batch_id!r} is being submitted by another request."


class EmptyBatchError(FlaskCeleryError):
    """No item could be accepted, and nothing was stored; ``outcomes`` say why."""

    def __init__(self, outcomes: "Sequence[Outcome]", reasons: Sequence[Exception]) -> None:
        super().__init__(outcomes, reasons)
        self.outcomes = outcomes
        self.reasons = reasons

    def __str__(self) -> str:
        return f"None of {len(self.outcomes)} jobs could be accepted."


class InterruptedBatchError(FlaskCeleryError):
    """The broker has gone away half-way; ``outcomes`` tell what was accepted by then.

    Sent again under the same idempotency key the batch is finished; what was accepted stays.
    """

    def __init__(self, batch_id: str, outcomes: "Sequence[Outcome]") -> None:
        super().__init__(batch_id, outcomes)
        self.batch_id = batch_id
        self.outcomes = outcomes

    def __str__(self) -> str:
        return f"The job queue did not answer in time; batch {self.batch_id!r} is not complete."
