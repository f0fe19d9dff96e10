"""Many jobs that were submitted together, as the synchronous client has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import calls, completions, waiting
from .driver import Driver
from .jobs import Job
from .model import BatchOutcome, BatchStatus, Completed
from .sending import Terms


class Batch:
    """A batch. ``outcomes`` says, in the order sent, which jobs were accepted and why others were not."""

    def __init__(
        self,
        driver: Driver,
        terms: Terms,
        batch_id: str,
        outcomes: Sequence[BatchOutcome],
        then_task_id: str | None = None,
    ) -> None:
        self._driver, self._terms = driver, terms
        self.batch_id = batch_id
        self.outcomes = outcomes
        self.then = None if then_task_id is None else Job(driver, terms, then_task_id)

    def __repr__(self) -> str:
        return f"Batch({self.batch_id!r})"

    @property
    def refused(self) -> Sequence[BatchOutcome]:
        """Those that were not accepted."""
        return [outcome for outcome in self.outcomes if outcome.problem is not None]

    def status(self) -> BatchStatus:
        """How many jobs are in which state now."""
        return self._driver.run(calls.batch_status(self._terms, self.batch_id))

    def wait(self, timeout: float | None = None) -> BatchStatus:
        """The batch once all its jobs are final. Raises: ResultTimeoutError."""
        return self._driver.run(waiting.ended_batch(self._terms, self.batch_id, timeout=timeout))

    def as_completed(self, timeout: float | None = None) -> Iterator[Completed]:
        """Each job as it ends, whichever ends first; refused ones at once. Raises: ResultTimeoutError."""
        return self._driver.iterate(completions.completed(self._terms, self.outcomes, timeout=timeout))

    def cancel(self, *, terminate: bool = False) -> BatchStatus:
        """All jobs that have not ended. Raises: ConflictError when all have."""
        return self._driver.run(calls.cancelled_batch(self._terms, self.batch_id, terminate=terminate))
