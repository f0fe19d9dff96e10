"""What a run prints."""

from __future__ import annotations

from tests.chaos.run import Outcome

_MOST_EXAMPLES = 5


def print_report(outcome: Outcome) -> None:
    print(f"\nSeed {outcome.plan.seed}: {len(outcome.plan.jobs)} jobs, {outcome.plan.seconds:g} s of attacks\n")
    for kind, count in sorted(outcome.attacks.items()):
        print(f"  {kind:<28}{count:>6}")
    print(f"  {'attacks':<28}{sum(outcome.attacks.values()):>6}\n")
    print("  answers:", ", ".join(f"{name} {count}" for name, count in sorted(outcome.answers.items())), "\n")
    for name, value in outcome.figures.items():
        print(f"  {name:<54}{value}")
    print()
    for finding in outcome.findings:
        print(f"  {finding.promise:<40}{len(finding.broken):>6}   {'BROKEN' if finding.broken else 'held'}")
        for example in finding.broken[:_MOST_EXAMPLES]:
            print(f"      {example}")
    print(
        "\n"
        + ("Broken: " + ", ".join(f.promise for f in outcome.broken) if outcome.broken else "Every promise held.")
    )
