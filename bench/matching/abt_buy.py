"""The Abt-Buy benchmark, both shops put together as one table."""

import csv
from pathlib import Path
from typing import TypedDict


class Row(TypedDict):
    """One row as a catalogue of the service holds it; `price` is None where the source gives none."""

    code: str
    name: str
    description: str
    manufacturer: str
    price: float | None


def load(directory: str | Path) -> tuple[list[Row], list[tuple[str, str]]]:
    """The rows of both shops and the pairs of codes that are one product.

    Raises:
        FileNotFoundError: `directory` lacks one of the three files.
    """
    root = Path(directory)
    rows = [_row("abt", record) for record in _records(root / "Abt.csv")]
    rows += [_row("buy", record) for record in _records(root / "Buy.csv")]
    mapping = _records(root / "abt_buy_perfectMapping.csv")
    return rows, [(f"abt-{record['idAbt']}", f"buy-{record['idBuy']}") for record in mapping]


def _records(path: Path) -> list[dict[str, str]]:
    # The published files are Latin-1.
    with path.open(encoding="latin-1", newline="") as file:
        return list(csv.DictReader(file))


def _row(source: str, record: dict[str, str]) -> Row:
    price = record["price"].replace("$", "").replace(",", "").strip()
    return Row(
        code=f"{source}-{record['id']}",
        name=record["name"],
        description=record["description"],
        manufacturer=record.get("manufacturer", ""),
        price=float(price) if price else None,
    )
