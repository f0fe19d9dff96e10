"""The names of what Redis holds about jobs, so that one place decides them.

========================================  ======  =====================================================
key                                       type    holds
========================================  ======  =====================================================
``celery-task-meta-<task_id>``            string  the record: Celery's result format plus our fields
``taskgate-job-<task_id>``                hash    the ledger: state, owner, task, submitted, cancel
``taskgate-owner-<owner>``                zset    an owner's task ids by the time they were submitted (ms)
``taskgate-retired``                      zset    ledger entries by the time they may be forgotten (ms)
========================================  ======  =====================================================

The ledger outlives the record: it is what tells *expired* (410) from *never heard of* (404), and what the
scripts look at, so that they never have to read a serialised result. All four live in the result database.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """Key names under one prefix (empty, or the deployment's)."""

    prefix: str = ""

    def meta(self, task_id: str) -> str:
        """The record that every Celery client reads (``celery/backends/base.py``, ``task_keyprefix``)."""
        return f"{self.prefix}celery-task-meta-{task_id}"

    def ledger(self, task_id: str) -> str:
        """What the scripts decide on."""
        return f"{self.prefix}taskgate-job-{task_id}"

    def owner(self, owner: str) -> str:
        """The index of one owner's jobs."""
        return f"{self.prefix}taskgate-owner-{owner}"

    @property
    def retired(self) -> str:
        """Final jobs by the time their ledger entry ends; members are ``<task_id> <owner>``."""
        return f"{self.prefix}taskgate-retired"
