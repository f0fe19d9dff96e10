"""The generated table through the matcher of `maintenance.match_self_table`: ours.py ROWS.csv PAIRS.csv"""

import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from app.jobs.maintenance.services.matching import PartText, find_matches

with Path(sys.argv[1]).open(encoding="utf-8", newline="") as file:
    rows = [
        PartText(**{**row, "price": float(row["price"]) if row["price"] else None}) for row in csv.DictReader(file)
    ]
with Path(sys.argv[2]).open("w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["code_a", "code_b"])
    writer.writerows((match.code_a, match.code_b) for match in find_matches(rows))
