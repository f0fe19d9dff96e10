"""Time and memory of one matching, measured in a process of its own so that peaks do not mix."""

import subprocess
import sys
from dataclasses import dataclass
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

from app.jobs.maintenance.services.matching import PartText, find_matches

from .generator import generate
from .quality import Quality, evaluate


@dataclass(frozen=True, slots=True)
class Scale:
    """`seconds` of the matching alone; `peak_mib` of the whole process, the table included."""

    rows: int
    seconds: float
    peak_mib: int
    quality: Quality


def measure(rows: int) -> Scale:
    """Matches a generated table of `rows` rows in a fresh interpreter.

    Raises:
        subprocess.CalledProcessError: the run failed; its errors are on standard error.
    """
    run = subprocess.run(
        [sys.executable, "-m", __name__, str(rows)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=1800,
    )
    seconds, peak, *shares = run.stdout.split()
    precision, recall, f1 = (float(share) for share in shares)
    return Scale(rows, float(seconds), int(peak), Quality(precision, recall, f1))


def _run(rows: int) -> None:
    table, truth = generate(rows)
    parts = [PartText(**row) for row in table]
    start = perf_counter()
    matches = find_matches(parts)
    seconds = perf_counter() - start
    quality = evaluate(((match.code_a, match.code_b) for match in matches), truth)
    # Linux gives the peak in KiB.
    peak = getrusage(RUSAGE_SELF).ru_maxrss // 1024
    print(seconds, peak, quality.precision, quality.recall, quality.f1)


if __name__ == "__main__":
    _run(int(sys.argv[1]))
