"""A short attack with a fixed plan, so that every change meets it. `make chaos` is the long one."""

from __future__ import annotations

import pytest

from tests.chaos.plan import make_plan
from tests.chaos.run import run

pytestmark = pytest.mark.long


@pytest.mark.timeout(400)
def test_every_promise_holds_while_everything_is_killed_and_frozen() -> None:
    outcome = run(seed=7, jobs=500, seconds=30, gaps=0.6)

    assert {finding.promise: finding.broken for finding in outcome.broken} == {}, outcome.summary
    assert outcome.figures["accepted"] == outcome.figures["finished"] == 500
    assert outcome.attacks.total() >= 8


def test_the_same_seed_makes_the_same_plan_and_another_one_another() -> None:
    plan = make_plan(1, jobs=200, seconds=60)

    assert plan == make_plan(1, jobs=200, seconds=60)
    assert plan.attacks != make_plan(2, jobs=200, seconds=60).attacks
    assert plan.jobs != make_plan(2, jobs=200, seconds=60).jobs


def test_a_long_plan_has_every_kind_of_job_and_of_attack() -> None:
    plan = make_plan(1, jobs=10_000, seconds=400)

    assert {job.transactional for job in plan.jobs} == {True, False}
    for kind in ("fails", "retries", "delay", "cancel_after", "looks_at_once", "repeats"):
        assert 100 < sum(bool(getattr(job, kind)) for job in plan.jobs) < 1500, kind
    kinds = {attack.kind for attack in plan.attacks}
    for target in ("api tree", "api parent", "api child", "prefork tree", "prefork parent", "prefork child"):
        assert {f"{target} {name}" for name in ("SIGKILL", "SIGSTOP")} <= kinds
    for target in ("threads tree", "beat tree", "redis tree"):
        assert {f"{target} {name}" for name in ("SIGKILL", "SIGTERM", "SIGSTOP")} <= kinds
    assert any(attack.pause > 5 for attack in plan.attacks)
