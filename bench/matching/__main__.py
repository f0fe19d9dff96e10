"""`python -m bench.matching --data DIR`: quality on each data set and the cost of large tables."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from app.jobs.maintenance.services.matching import DEFAULT_THRESHOLD, PartText, find_matches

from . import abt_buy, record_linkage
from .abt_buy import Row
from .generator import generate
from .quality import Quality, evaluate
from .scaling import measure

_LOWEST = 0.3
_THRESHOLDS = (0.4, 0.45, DEFAULT_THRESHOLD, 0.55, 0.6, 0.7)


def main() -> None:
    """Prints one table of quality for each data set given, then one of time and memory."""
    options = _options()
    if options.data:
        _report("Abt-Buy", *abt_buy.load(options.data))
    _report("generated parts", *generate(options.rows))
    if options.febrl:
        _report("FEBRL", *record_linkage.load_febrl(options.febrl))
    if options.restaurants:
        _report("Fodors-Zagats", *record_linkage.load_restaurants(options.restaurants))
    if options.scale:
        print(f"\n{'rows':>8} {'seconds':>8} {'peak MiB':>9}  {'precision':>9} {'recall':>7} {'F1':>7}")
    for rows in options.scale:
        scale = measure(rows)
        print(f"{rows:>8} {scale.seconds:>8.1f} {scale.peak_mib:>9}  {_shares(scale.quality)}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.matching", description=main.__doc__)
    parser.add_argument("--data", type=Path, help="directory of Abt.csv, Buy.csv and abt_buy_perfectMapping.csv")
    parser.add_argument("--febrl", type=Path, help="a FEBRL file, such as dataset1.csv")
    parser.add_argument("--restaurants", type=Path, help="directory of the Fodors-Zagats files")
    parser.add_argument("--rows", type=int, default=12_000, help="rows of the generated table (%(default)s)")
    parser.add_argument("--scale", type=int, nargs="*", default=[10_000, 30_000, 100_000], help="sizes to time")
    return parser.parse_args()


def _report(name: str, rows: Sequence[Row], truth: Sequence[tuple[str, str]]) -> None:
    matches = find_matches([PartText(**row) for row in rows], threshold=_LOWEST)
    print(f"\n{name}: {len(rows)} rows, {len(truth)} true pairs\nthreshold  precision  recall      F1")
    for threshold in _THRESHOLDS:
        predicted = [(match.code_a, match.code_b) for match in matches if match.score >= threshold]
        mark = " (default)" if threshold == DEFAULT_THRESHOLD else ""
        print(f"{threshold:>9.2f}  {_shares(evaluate(predicted, truth))}{mark}", flush=True)


def _shares(quality: Quality) -> str:
    return f"{quality.precision:>9.4f} {quality.recall:>7.4f} {quality.f1:>7.4f}"


if __name__ == "__main__":
    main()
