"""Which jobs have failed in a time, whoever has submitted them: for those who look after the service."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.failure_script import MOST_FAILURES
from libs.flask_celery.job_search import Wanted, search
from libs.flask_celery.records import JobFailure, JobRecord
from libs.flask_celery.server_script import run_script

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

#: Jobs counted in one call of the script, which takes a millisecond or two.
_AT_ONCE = 1_000

#: Counts failures by task. KEYS: the list of failures. ARGV: 1 from, 2 to before (ms), 3 how many to pass over, 4 how
#: many to count, prefix. Returns {how many were counted, then each task and how many are its}.
_COUNT = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '(' .. ARGV[2], 'LIMIT', ARGV[3], ARGV[4])
local counts, answer = {}, {#ids}
for _, id in ipairs(ids) do
  local task = redis.call('HGET', ARGV[#ARGV] .. 'taskgate-job-' .. id, 'task') or ''
  counts[task] = (counts[task] or 0) + 1
end
for task, count in pairs(counts) do
  answer[#answer + 1] = task
  answer[#answer + 1] = count
end
return answer
"""


@dataclass(frozen=True, slots=True)
class FailedJob:
    """One that has failed. ``failure`` is None when its record has expired, and so is what is then not known."""

    task_id: str
    task: str | None
    owner: str
    failed_at: datetime
    failure: JobFailure | None


@dataclass(frozen=True, slots=True)
class Failures:
    """Those of a time: how many of each task, the most first, and the newest of all.

    ``complete`` is False when there were so many that the oldest are not known any more.
    """

    by_task: Mapping[str, int]
    newest: tuple[FailedJob, ...]
    complete: bool

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.by_task.values())


class FailedJobs:
    """The failed jobs of one deployment. Methods raise redis-py's connection errors."""

    def __init__(self, celery_app: "FlaskCelery") -> None:
        self._backend = celery_app.backend
        self._index = celery_app.backend.keys.failures

    def now(self) -> int:
        """The time by the clock that failures are listed by (ms): whatever fails from now on is not before it."""
        seconds, microseconds = self._backend.client.time()
        return int(seconds * 1000 + microseconds // 1000)

    def between(self, since: int, until: int, *, newest: int) -> Failures:
        """Those that failed at ``since`` (ms) or later and before ``until``, a time that has come.

        Args:
            newest: of how many to tell more than that they have failed.
        """
        client = self._backend.client
        counts = self._count(since, until)
        wanted = Wanted(since=since, until=until, expired=True)
        found = search(self._backend, self._index, wanted, limit=newest, most_scanned=newest) if counts else None
        oldest = client.zrange(self._index, 0, 0, withscores=True)
        is_cut = client.zcard(self._index) >= MOST_FAILURES and oldest[0][1] > since
        return Failures(
            by_task=dict(counts.most_common()),
            newest=tuple(self._read(found.jobs)) if found else (),
            complete=not is_cut,
        )

    def _count(self, since: int, until: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        counted, passed_over = _AT_ONCE, 0
        while counted == _AT_ONCE:
            arguments = [since, until, passed_over, _AT_ONCE, self._backend.keys.prefix]
            counted, *pairs = run_script(self._backend.client, _COUNT, [self._index], arguments)
            passed_over += counted
            for task, count in zip(pairs[::2], pairs[1::2], strict=True):
                counts[bytes_to_str(task)] += count
        return counts

    def _read(self, entries: list[tuple[int, str]]) -> list[FailedJob]:
        records = self._backend.records.get_many([task_id for _, task_id in entries])
        jobs = []
        for (failed, task_id), record in zip(entries, records, strict=True):
            failed_at = datetime.fromtimestamp(failed / 1000, tz=UTC)
            if isinstance(record, JobRecord):
                jobs.append(FailedJob(task_id, record.task, record.owner, failed_at, record.failure))
            else:
                task = self._backend.client.hget(self._backend.keys.ledger(task_id), "task")
                name = bytes_to_str(task) if task else None
                jobs.append(FailedJob(task_id, name, getattr(record, "owner", ""), failed_at, None))
        return jobs
