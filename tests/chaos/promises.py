"""What was promised, judged by the evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.causes import runs_without_cause
from tests.chaos.evidence import Evidence
from tests.chaos.plan import VISIBILITY_TIMEOUT
from tests.chaos.recovery import Recovery, recoveries

#: Why a job may fail although it was planned to succeed: its process was killed more often than it may be retried.
_KILLED = {"WorkerLostError", "Terminated"}
_PLANNED = {"JobFails"}


#: Seconds. A lease ends within the visibility timeout, somebody looks within half a second, and then the job is first
#: in its queue; the rest is for a worker whose slots are all taken by the longest jobs, on a machine that is busy.
LONGEST_RECOVERY = VISIBILITY_TIMEOUT * 1.5 + 15


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise and where it was broken; nowhere is what it should be."""

    promise: str
    broken: list[str]


def judge(evidence: Evidence) -> list[Finding]:
    """Every promise, in the order of the report."""
    return [Finding(name, sorted(check(evidence))) for name, check in _PROMISES.items()]


def _lost(evidence: Evidence) -> Iterator[str]:
    """A client holds a 202's id, and the job is not final in Redis, or unknown to the API, at the end or before."""
    for submission in evidence.submissions:
        task_id = submission.task_id
        if task_id is None:
            yield f"submission {submission.job.number} was never accepted"
        elif evidence.answers[task_id] != 200:
            state = evidence.records.get(task_id, {}).get("status")
            yield f"{task_id}: HTTP {evidence.answers[task_id]}, recorded as {state}"
        elif submission.unknown_after_202:
            yield f"{task_id}: was a 404 after its 202"


def _unfinished(evidence: Evidence) -> Iterator[str]:
    yield from evidence.unfinished


def _finished_twice(evidence: Evidence) -> Iterator[str]:
    for task_id, states in evidence.written.more_than_once.items():
        yield f"{task_id}: {states}"


def _accepted_twice(evidence: Evidence) -> Iterator[str]:
    """A retry under the same key made another job, seen by a client or not."""
    given_up = any(submission.task_id is None for submission in evidence.submissions)
    for submission in evidence.submissions:
        if submission.other_ids:
            yield f"{submission.task_id}: also {sorted(submission.other_ids)}"
    if not given_up:  # else a reply may have been lost for good, and its job is nobody's
        for task_id, state in evidence.unheld.items():
            yield f"{task_id}: {state}, held by no client"


def _transactional(evidence: Evidence) -> Iterator[tuple[str, str, list[str], object]]:
    for submission in evidence.submissions:
        if submission.task_id and submission.job.transactional:
            record = evidence.records.get(submission.task_id, {})
            runs = evidence.effects.get(submission.task_id, [])
            yield submission.task_id, str(record.get("status")), runs, record.get("result")


def _applied_twice(evidence: Evidence) -> Iterator[str]:
    for task_id, state, runs, _ in _transactional(evidence):
        if len(runs) > 1:
            yield f"{task_id}: {state}, {len(runs)} times"


def _effect_disagrees(evidence: Evidence) -> Iterator[str]:
    """The state that was stored and the effect that was committed are of the same run, or there is neither."""
    for task_id, state, runs, result in _transactional(evidence):
        expected = [result["run"]] if state == "SUCCESS" and isinstance(result, dict) else []
        # Killed between its commit and the storing of its result, with no retries left: shown as failed, and said so
        # in docs/reliability.md.
        was_killed = state == "FAILURE" and isinstance(result, dict) and result.get("exc_type") in _KILLED
        if len(runs) < 2 and runs != expected and not was_killed:
            yield f"{task_id}: {state} {expected}, committed {runs}"


def _superseded(evidence: Evidence) -> Iterator[str]:
    """A run went on without its lease, and its result was kept although a later run had begun before its end."""
    for submission in evidence.submissions:
        task_id = submission.task_id or ""
        result = evidence.records.get(task_id, {}).get("result")
        if submission.job.transactional or not isinstance(result, dict) or "run" not in result:
            continue
        begun = {entry.run: entry.at for entry in evidence.starts.get(task_id, ())}
        ended = {entry.run: entry.at for entry in evidence.ends.get(task_id, ())}
        kept = result["run"]
        if any(begun[kept] < at < ended[kept] for run, at in begun.items() if run != kept):
            yield f"{task_id}: of {len(begun)} runs the result of an earlier one was kept"


def _failed_for_no_reason(evidence: Evidence) -> Iterator[str]:
    for submission in evidence.submissions:
        record = evidence.records.get(submission.task_id or "", {})
        error = record.get("result") or {}
        if record.get("status") == "FAILURE" and error.get("exc_type") not in _PLANNED | _KILLED:
            yield f"{submission.task_id}: {error.get('exc_type')} {error.get('exc_message')}"


def _late_recovery(evidence: Evidence) -> Iterator[str]:
    """It took long, and not because of the jobs that were waiting already: one accepted much later was started first.

    A job whose process was killed is a retry, which waits for its turn behind them.
    """
    first_starts = {task_id: min(entry.at for entry in entries) for task_id, entries in evidence.starts.items()}
    waited = [(s.accepted_at, first_starts.get(s.task_id or "", float("inf"))) for s in evidence.submissions]
    for recovery in recoveries(evidence):
        later = recovery.began + LONGEST_RECOVERY
        if recovery.served > LONGEST_RECOVERY and any(
            accepted > later and start < recovery.ended for accepted, start in waited
        ):
            yield f"{recovery.task_id}: {recovery.seconds:.1f} s, {recovery.served:.1f} s of them served"


def _unexplained_exits(evidence: Evidence) -> Iterator[str]:
    for target, exits in evidence.unprovoked_exits.items():
        for code, _ in exits:
            yield f"{target} ended by itself with {code}"


def _run_without_cause(evidence: Evidence) -> Iterator[str]:
    yield from runs_without_cause(evidence)


_PROMISES: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "lost": _lost,
    "not final, whoever submitted it": _unfinished,
    "accepted twice under one key": _accepted_twice,
    "finished twice": _finished_twice,
    "effects applied twice": _applied_twice,
    "effect and stored state disagree": _effect_disagrees,
    "result of a superseded run kept": _superseded,
    "run again while its worker lived": _run_without_cause,
    "recovery took too long": _late_recovery,
    "failed for a reason of ours": _failed_for_no_reason,
    "services that ended by themselves": _unexplained_exits,
}


def figures(evidence: Evidence) -> dict[str, object]:
    """What is worth knowing and no promise."""
    held = [submission.task_id for submission in evidence.submissions if submission.task_id]
    states = Counter(str(evidence.records.get(task_id, {}).get("status")) for task_id in held)
    plain = [s.task_id for s in evidence.submissions if s.task_id and not s.job.transactional]
    found: list[Recovery] = recoveries(evidence)
    longest = max(found, key=lambda recovery: recovery.seconds, default=None)
    longest_served = max(found, key=lambda recovery: recovery.served, default=None)
    return {
        "accepted": len(held),
        "finished": sum(evidence.answers[task_id] == 200 for task_id in evidence.answers),
        "states": dict(states),
        "replies lost": sum(submission.lost_replies for submission in evidence.submissions),
        "interrupted runs": len(found),
        "longest recovery (s)": longest and round(longest.seconds, 2),
        "… counting only while Redis and a worker were up (s)": longest_served and round(longest_served.served, 2),
        "plain jobs started more often than planned": sum(
            len(evidence.starts.get(task_id, ())) > len({entry.attempt for entry in evidence.starts.get(task_id, ())})
            for task_id in plain
        ),
        "plain jobs with more than one effect": sum(len(evidence.effects.get(task_id, ())) > 1 for task_id in plain),
    }
