"""Prices as people and spreadsheets write them."""

import math
import re
from decimal import Decimal

from .errors import RowError

WHOLE_DIGITS = 14
DECIMALS = 4

_PLAIN = re.compile(r"[0-9]{1,14}(?:\.[0-9]{1,4})?")
_WRITTEN = re.compile(
    r"(?P<outer>-?)\s?[$€£¥￥]?\s?(?P<inner>-?)"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
)
_MAX_LENGTH = 64


def parse_price(cell: object) -> Decimal | None:
    """The price in a cell, or None where the cell is blank.

    The point is the decimal mark and the comma groups thousands: `1234.5`, `1,234.50`, `$399.00`, `€ 5`.
    `1.234,50` and `0,99` are refused, and so is `1,234` with one comma and no point: read by the wrong
    convention the price would be a thousand times too high, which nobody would notice, while a rejected row
    is seen.
    A number of a workbook is rounded to 4 decimals, because the cell of a formula shows fewer than it
    holds; a written text with more is refused.
    Raises: RowError for anything that is not a price from 0 to below 10**14 with at most 4 decimals.
    """
    if cell is None:
        return None
    if isinstance(cell, str):
        text = cell.strip()
        if not text:
            return None
        return Decimal(text) if _PLAIN.fullmatch(text) else _parse_written(text)
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return _from_number(cell)
    raise RowError("price is not a number; format the cell as a number")


def _parse_written(text: str) -> Decimal:
    quoted = repr(text[:40])
    match = _WRITTEN.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None or not (match["whole"] or match["fraction"]):
        if len(text) <= _MAX_LENGTH and re.fullmatch(r"\D{0,4}[0-9.,]*,[0-9.,]*\D{0,4}", text):
            raise RowError(f"price {quoted} has a decimal comma or misplaced commas; write it like 1234.50")
        raise RowError(f"price {quoted} is not a number; write it like 1234.50")
    whole, fraction = match["whole"], match["fraction"]
    if fraction is None and whole.count(",") == 1:
        raise RowError(f"price {quoted} can be read in two ways; write it without the comma, like 1234 or 1.234")
    whole, fraction = whole.replace(",", "").lstrip("0"), (fraction or "").rstrip("0")
    if len(whole) > WHOLE_DIGITS or len(fraction) > DECIMALS:
        raise _too_long(quoted)
    if (match["outer"] or match["inner"]) and (whole or fraction):
        raise RowError(f"price {quoted} is negative")
    return Decimal(f"{whole or 0}.{fraction or 0}")


def _from_number(number: float) -> Decimal:
    # A whole number of a workbook can be too large for a float, hence not isfinite() first.
    if isinstance(number, float) and not math.isfinite(number):
        raise RowError("price is not a finite number")
    if number < 0:
        raise RowError("price is negative")
    if round(number, DECIMALS) >= 10**WHOLE_DIGITS:
        raise _too_long("in the cell")
    # The formatted text is rounded the way the spreadsheet shows it; abs() because -0.0 is not below 0.
    return Decimal(f"{abs(number):.{DECIMALS}f}")


def _too_long(which: str) -> RowError:
    return RowError(
        f"price {which} has too many digits; at most {WHOLE_DIGITS} before and {DECIMALS} after the decimal point"
    )
