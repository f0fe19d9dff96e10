"""Each promise is found broken by the evidence of its breaking, and by that alone."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.append_only_file import WrittenEnds
from tests.chaos.attackers import Strike
from tests.chaos.clients import Submission
from tests.chaos.evidence import Evidence
from tests.chaos.journal import Entry
from tests.chaos.plan import Attack, Part, PlannedJob, Target
from tests.chaos.promises import figures, judge
from tests.chaos.recovery import recoveries

ID = "job"


def planned(**different: Any) -> PlannedJob:
    usual: dict[str, Any] = {"number": 0, "at": 0.0, "transactional": True, "seconds": 1.0, "fails": False}
    usual |= {
        "retries": 0,
        "delay": 0.0,
        "cancel_after": None,
        "terminates": False,
        "looks_at_once": False,
        "repeats": False,
    }
    return PlannedJob(**{**usual, **different})


def entry(event: str, run: str, at: float, *, pid: int = 10, attempt: int = 0) -> Entry:
    return Entry(event, ID, 0, run, pid, 1, attempt, True, at)


def strike(target: Target, number: signal.Signals, began: float, ended: float, *pids: int) -> Strike:
    return Strike(Attack(0.0, target, Part.TREE, number), began, ended, frozenset(pids))


def record(status: str, result: Any) -> dict[str, Any]:
    return {"status": status, "result": result, "date_done": "1970-01-01T00:00:12+00:00"}


def sound(**different: Any) -> Evidence:
    """One transactional job: accepted, run once, finished once."""
    written = WrittenEnds()
    written.states[ID] = ["SUCCESS"]
    usual: dict[str, Any] = {
        "submissions": [Submission(planned(), ID)],
        "strikes": [],
        "outages": {target: [] for target in Target},
        "unprovoked_exits": {target: [] for target in Target},
        "starts": {ID: [entry("start", "one", 10.0)]},
        "ends": {ID: [entry("end", "one", 11.0)]},
        "raises": {},
        "effects": {ID: ["one"]},
        "written": written,
        "records": {ID: record("SUCCESS", {"run": "one"})},
        "answers": {ID: 200},
        "unheld": {},
        "unfinished": [],
    }
    return Evidence(**{**usual, **different})


def plain(**different: Any) -> Evidence:
    return sound(submissions=[Submission(planned(transactional=False), ID)], **different)


def written_twice() -> WrittenEnds:
    written = WrittenEnds()
    written.states[ID] = ["SUCCESS", "FAILURE"]
    return written


TWO_STARTS = {ID: [entry("start", "one", 10.0), entry("start", "two", 16.0, pid=20)]}
BOTH_ENDED = {ID: [entry("end", "one", 18.0), entry("end", "two", 17.0, pid=20)]}
FROZEN = [strike(Target.THREADS, signal.SIGSTOP, 10.5, 17.5, 10)]
FAILED = record("FAILURE", {"exc_type": "ConnectionError", "exc_message": ["gone"]})

LATE: dict[str, Any] = {
    "starts": {
        ID: [entry("start", "zero", 0.1), entry("start", "one", 40.0, pid=20)],
        "later": [entry("start", "later", 31.0, pid=20)],
    },
    "ends": {ID: [entry("end", "one", 41.0, pid=20)], "later": [entry("end", "later", 31.5, pid=20)]},
    "strikes": [strike(Target.PREFORK, signal.SIGKILL, 0.2, 0.2, 10)],
    "records": {
        ID: {**record("SUCCESS", {"run": "one"}), "date_done": "1970-01-01T00:00:42+00:00"},
        "later": record("SUCCESS", {"run": "later"}),
    },
    "answers": {ID: 200, "later": 200},
}
OVERTAKER = Submission(planned(number=1, transactional=False), "later", accepted_at=30.0)

BROKEN = {
    "lost": [
        sound(submissions=[Submission(planned())]),
        sound(answers={ID: 404}),
        sound(answers={ID: 202}),
        sound(submissions=[Submission(planned(), ID, unknown_after_202=True)]),
    ],
    "not final, whoever submitted it": [sound(unfinished=["tick"])],
    "accepted twice under one key": [
        sound(unheld={"other": "SUCCESS"}),
        sound(submissions=[Submission(planned(), ID, other_ids={"other"})]),
    ],
    "finished twice": [sound(written=written_twice())],
    "effects applied twice": [sound(effects={ID: ["one", "two"]})],
    "effect and stored state disagree": [
        sound(effects={}),
        sound(effects={ID: ["other"]}),
        sound(records={ID: record("REVOKED", None)}),
    ],
    "result of a superseded run kept": [plain(starts=TWO_STARTS, ends=BOTH_ENDED, strikes=FROZEN)],
    "run again while its worker lived": [
        sound(starts=TWO_STARTS, ends=BOTH_ENDED),
        sound(starts=TWO_STARTS, ends=BOTH_ENDED, strikes=[strike(Target.BEAT, signal.SIGSTOP, 10.5, 17.5, 99)]),
    ],
    "recovery took too long": [sound(**LATE, submissions=[Submission(planned(), ID), OVERTAKER])],
    "failed for a reason of ours": [sound(records={ID: FAILED}, effects={})],
    "services that ended by themselves": [sound(unprovoked_exits={Target.THREADS: [(1, 12.0)]})],
}


def broken(evidence: Evidence) -> set[str]:
    return {finding.promise for finding in judge(evidence) if finding.broken}


def test_of_sound_evidence_every_promise_holds() -> None:
    assert broken(sound()) == broken(plain()) == set()
    assert set(BROKEN) == {finding.promise for finding in judge(sound())}


@pytest.mark.parametrize(("promise", "evidence"), [(name, case) for name, cases in BROKEN.items() for case in cases])
def test_what_breaks_one_promise_is_found(promise: str, evidence: Evidence) -> None:
    assert broken(evidence) == {promise}


def test_a_job_that_was_killed_with_no_retries_left_may_have_had_its_effect() -> None:
    killed = record("FAILURE", {"exc_type": "WorkerLostError", "exc_message": ["signal 9"]})

    assert broken(sound(records={ID: killed})) == set()


def test_a_run_that_follows_an_attack_on_its_worker_or_on_redis_has_a_cause() -> None:
    of_redis = [strike(Target.REDIS, signal.SIGSTOP, 12.0, 13.0, 99)]

    for strikes in (FROZEN, of_redis):
        assert broken(sound(starts=TWO_STARTS, ends=BOTH_ENDED, strikes=strikes)) == set()


def test_a_recovery_that_waits_for_its_turn_is_not_late() -> None:
    waited_as_long = replace(OVERTAKER, accepted_at=5.0)

    assert broken(sound(**LATE, submissions=[Submission(planned(), ID), waited_as_long])) == set()


def test_a_recovery_lasts_from_the_kill_to_the_next_sign_of_life() -> None:
    killed = [strike(Target.PREFORK, signal.SIGKILL, 10.5, 10.5, 10)]
    ended = {ID: [entry("end", "two", 17.0, pid=20)]}
    kept = {ID: {**record("SUCCESS", {"run": "two"}), "date_done": "1970-01-01T00:00:18+00:00"}}
    away = {target: [] for target in Target} | {Target.REDIS: [(11.0, 13.0)]}

    evidence = sound(starts=TWO_STARTS, ends=ended, strikes=killed, records=kept, effects={ID: ["two"]}, outages=away)

    (recovery,) = recoveries(evidence)
    assert (recovery.seconds, recovery.served) == (5.5, 3.5)
    assert recoveries(replace(evidence, raises={ID: [entry("raise", "one", 10.2)]})) == []
    assert figures(replace(evidence, strikes=[]))["interrupted runs"] == 0
