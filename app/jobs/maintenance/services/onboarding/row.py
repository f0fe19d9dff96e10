"""One record of the file to one checked row of the parts table."""

import re
import unicodedata
from datetime import date, datetime, timedelta, tzinfo
from datetime import time as clock_time
from decimal import Decimal
from typing import NamedTuple

from .errors import RowError
from .header import Columns
from .moment import parse_moment
from .price import parse_price
from .records import Record, shown

CODE_LENGTH = 128
NAME_LENGTH = 512
MANUFACTURER_LENGTH = 255
# The table sets no bound; this is what a cell of a spreadsheet can hold.
DESCRIPTION_LENGTH = 32_767

# Tab and line ends are part of ordinary text; the other controls are not, PostgreSQL stores no NUL and
# UTF-8 has no surrogates.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SHEET_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})


class PartRow(NamedTuple):
    """A checked row: texts stripped and in NFC, `add_time` in UTC or None where the file does not say."""

    code: str
    name: str
    description: str
    manufacturer: str
    price: Decimal | None
    add_time: datetime | None


class RowParser:
    """Checks records of one file; `zone` is what local times of the file mean."""

    def __init__(self, columns: Columns, zone: tzinfo) -> None:
        self._columns = columns
        self._width = len(columns.titles)
        self._zone = zone

    def parse(self, record: Record) -> PartRow:
        """The checked row. Raises: RowError with the first reason found, and nothing else whatever the
        cells hold.
        """
        cells, columns = record.cells, self._columns
        if record.problem is not None:
            raise RowError(record.problem)
        if len(cells) != self._width:
            raise RowError(
                f"the row has {len(cells)} columns where the header has {self._width};"
                " a text that contains the separator needs quotes"
            )
        code = _text(cells[columns.code], "code", CODE_LENGTH)
        if not code:
            raise RowError("code is empty")
        # A code is compared character by character, so what cannot be seen must not make two of one.
        if not code.isprintable():
            raise RowError("code contains control or invisible characters")
        name = _text(cells[columns.name], "name", NAME_LENGTH)
        if not name:
            raise RowError("name is empty")
        return PartRow(
            code,
            name,
            _text(cells[columns.description], "description", DESCRIPTION_LENGTH) if columns.description >= 0 else "",
            _text(cells[columns.manufacturer], "manufacturer", MANUFACTURER_LENGTH)
            if columns.manufacturer >= 0
            else "",
            parse_price(cells[columns.price]) if columns.price >= 0 else None,
            parse_moment(cells[columns.add_time], self._zone) if columns.add_time >= 0 else None,
        )

    def code_of(self, record: Record) -> str:
        """The record's code as it stands in the file, for a message; "" where it cannot be told."""
        if record.problem is not None or self._columns.code >= len(record.cells):
            return ""
        return shown(record.cells[self._columns.code]).strip()


def _text(cell: object, column: str, limit: int) -> str:
    if isinstance(cell, str):
        text = cell.strip()
        # Nearly all texts: nothing below could find fault with them or change them.
        if text.isascii() and text.isprintable() and len(text) <= limit and text[:1] != "#":
            return text
    elif isinstance(cell, (date, clock_time, timedelta)):
        # Spreadsheets turn a code such as 1-2 into a date; what was typed is gone, so no text would be right.
        raise RowError(
            f"{column} was turned into a date by the spreadsheet; format the cell as text and type it again"
        )
    else:
        text = shown(cell)
    # Normalising a text of nothing but accents takes time by the square of its length: cut off what cannot
    # fit.
    if not text.isascii() and len(text) <= 4 * limit:
        text = unicodedata.normalize("NFC", text)
    if len(text) > limit:
        raise RowError(f"{column} is {len(text)} characters long; at most {limit} are taken")
    if not text.isprintable() and _UNSTORABLE.search(text):
        raise RowError(f"{column} contains control characters")
    if text[:1] == "#" and text in _SHEET_ERRORS:
        raise RowError(f"{column} holds the error {text} of a spreadsheet formula")
    return text
