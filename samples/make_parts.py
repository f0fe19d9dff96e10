"""Makes ``parts.csv``: the generated catalogue of ``bench.matching`` with times of adding and three bad rows."""

import csv
from datetime import date, timedelta
from pathlib import Path

from bench.matching.generator import generate

_ROWS = 1_500
_FIRST_DAY = date(2026, 9, 1)
_BAD = [
    ["", "A part without a code", "", "", "9.50", "2026-11-03"],
    ["X-1", "", "A part without a name", "", "9.50", "2026-11-03"],
    ["X-2", "Angle bracket 40x40", "", "", "nine fifty", "2026-11-03"],
]


def main() -> None:
    """Write the file beside this one."""
    rows, _ = generate(_ROWS)
    with (Path(__file__).parent / "parts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["code", "name", "description", "manufacturer", "price", "add_time"])
        for number, row in enumerate(rows):
            price = "" if row["price"] is None else f"{row['price']:.2f}"
            added = (_FIRST_DAY + timedelta(days=number % 80)).isoformat()
            writer.writerow([row["code"], row["name"], row["description"], row["manufacturer"], price, added])
        writer.writerows(_BAD)


if __name__ == "__main__":
    main()
