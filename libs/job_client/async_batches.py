"""Many jobs that were submitted together, for ``await``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from . import calls, completions, waiting
from .async_driver import AsyncDriver
from .async_jobs import AsyncJob
from .model import BatchOutcome, BatchStatus, Completed
from .sending import Terms


class AsyncBatch:
    """A batch. ``outcomes`` says, in the order sent, which jobs were accepted and why others were not."""

    def __init__(
        self,
        driver: AsyncDriver,
        terms: Terms,
        batch_id: str,
        outcomes: Sequence[BatchOutcome],
        then_task_id: str | None = None,
    ) -> None:
        self._driver, self._terms = driver, terms
        self.batch_id = batch_id
        self.outcomes = outcomes
        self.then = None if then_task_id is None else AsyncJob(driver, terms, then_task_id)

    def __repr__(self) -> str:
        return f"AsyncBatch({self.batch_id!r})"

    @property
    def refused(self) -> Sequence[BatchOutcome]:
        """Those that were not accepted."""
        return [outcome for outcome in self.outcomes if outcome.problem is not None]

    async def status(self) -> BatchStatus:
        """How many jobs are in which state now."""
        return await self._driver.run(calls.batch_status(self._terms, self.batch_id))

    async def wait(self, timeout: float | None = None) -> BatchStatus:
        """The batch once all its jobs are final. Raises: ResultTimeoutError."""
        return await self._driver.run(waiting.ended_batch(self._terms, self.batch_id, timeout=timeout))

    def as_completed(self, timeout: float | None = None) -> AsyncIterator[Completed]:
        """Each job as it ends, whichever ends first; refused ones at once. Raises: ResultTimeoutError."""
        return self._driver.iterate(completions.completed(self._terms, self.outcomes, timeout=timeout))

    async def cancel(self, *, terminate: bool = False) -> BatchStatus:
        """All jobs that have not ended. Raises: ConflictError when all have."""
        return await self._driver.run(calls.cancelled_batch(self._terms, self.batch_id, terminate=terminate))
