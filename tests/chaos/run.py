"""One run: start everything, attack it while clients submit, heal it, wait, gather, judge."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.attacked_installation import attacked_installation
from tests.chaos.attackers import Attackers
from tests.chaos.clients import Clients
from tests.chaos.evidence import gather, wait_for_the_end
from tests.chaos.plan import Plan, Target, make_plan
from tests.chaos.promises import Finding, figures, judge

#: Seconds without the end of any job, everything running again, after which what is left counts as lost.
STALLED = 45.0


@dataclass
class Outcome:
    plan: Plan
    findings: list[Finding]
    figures: dict[str, object]
    attacks: Counter[str]
    answers: Counter[str]
    logs: dict[str, str] = field(repr=False)

    @property
    def summary(self) -> str:
        """All that a failed test should show."""
        return f"{self.figures}\n{self.attacks}\n{self.answers}\n{[(f.promise, f.broken[:5]) for f in self.findings]}"

    @property
    def broken(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.broken]


def run(
    seed: int,
    jobs: int,
    seconds: float,
    without: frozenset[str] = frozenset(),
    *,
    gaps: float = 1.0,
    keep: bool = False,
) -> Outcome:
    """Returns what was seen; raises only when the harness itself fails."""
    plan = make_plan(seed, jobs, seconds, gaps=gaps)
    with attacked_installation(without, keep=keep) as installation:
        clients = Clients(plan, installation.base_url, installation.headers, keys="idempotency" not in without)
        attackers = Attackers(plan, installation.services)
        clients.start()
        attackers.start()
        time.sleep(seconds)
        attackers.heal()
        for service in installation.services.values():
            service.wait_ready()
        clients.finish(timeout=60)
        waited = wait_for_the_end(installation, clients.submissions, STALLED)
        evidence = gather(installation, clients.submissions, attackers.strikes)
        found = figures(evidence)
        found["seconds from the healing to the last job's end"] = round(waited, 1)
        found["services killed because SIGTERM took too long"] = sum(
            service.had_to_be_killed for service in installation.services.values()
        )
        logs = {target: installation.services[target].log_path.read_text(errors="replace") for target in Target}
    findings = judge(evidence)
    if clients.unexpected:
        findings.append(Finding("unexpected answers of the API", clients.unexpected))
    return Outcome(plan, findings, found, attackers.numbers(), clients.answers, logs)
