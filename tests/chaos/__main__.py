"""``python -m tests.chaos``: attack an installation, then say which promises held. See docs/reliability.md."""

from __future__ import annotations

import argparse
import random
import signal
import sys

from tests.chaos.report import print_report
from tests.chaos.run import run
from tests.chaos.switches import CURES


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeats a plan; a random one by default")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument(
        "--seconds", type=float, default=240.0, help="how long jobs are submitted and services attacked"
    )
    parser.add_argument(
        "--without", default="", help=f"cures to switch off, comma separated: {', '.join(sorted(CURES))}"
    )
    parser.add_argument("--gaps", type=float, default=1.0, help="below 1: more attacks, above 1: fewer")
    parser.add_argument("--keep", action="store_true", help="leave logs, journal and Redis's file behind")
    return parser.parse_args()


def main() -> int:
    """Returns: the exit code, 1 when a promise was broken."""
    arguments = _arguments()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    without = frozenset(filter(None, arguments.without.replace(" ", ",").split(",")))
    if unknown := without - CURES:
        print(f"No such cure: {', '.join(sorted(unknown))}. There are: {', '.join(sorted(CURES))}.")
        return 2
    print(
        f"SEED={seed} JOBS={arguments.jobs} SECONDS={arguments.seconds:g} WITHOUT={','.join(sorted(without))}",
        flush=True,
    )
    # Told to end, everything that was started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    outcome = run(seed, arguments.jobs, arguments.seconds, without, gaps=arguments.gaps, keep=arguments.keep)
    print_report(outcome)
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    sys.exit(main())
