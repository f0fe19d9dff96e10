"""Rows: each check of the row parser, and that nothing but a rejection comes out of it."""

import unicodedata
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.maintenance.services.onboarding.errors import RowError
from app.jobs.maintenance.services.onboarding.header import KNOWN, read_header
from app.jobs.maintenance.services.onboarding.records import Record
from app.jobs.maintenance.services.onboarding.row import PartRow, RowParser

PARSER = RowParser(read_header(KNOWN), UTC)


def parse(code: object = "A1", name: object = "Bolt", description: object = "", maker: object = "") -> PartRow:
    return PARSER.parse(Record(2, (code, name, description, maker, None, None)))


def test_a_whole_row_is_read() -> None:
    row = PARSER.parse(Record(2, ["A1", " Bolt ", "M8", "Acme", "$1.50", "2024-03-01"]))
    assert row == PartRow("A1", "Bolt", "M8", "Acme", Decimal("1.5"), datetime(2024, 3, 1, tzinfo=UTC))


def test_columns_that_the_file_has_not_are_empty() -> None:
    parser = RowParser(read_header(["Name", "CODE "]), UTC)
    assert parser.parse(Record(2, ["Bolt", "A1"])) == PartRow("A1", "Bolt", "", "", None, None)


def test_text_is_in_nfc() -> None:
    assert parse(code="Cafe\u0301", name="A\u030angstro\u0308m") == parse(code="Caf\u00e9", name="\u00c5ngstr\u00f6m")


@pytest.mark.parametrize(("code", "text"), [(123, "123"), (123.0, "123"), (1.5, "1.5"), (True, "True")])
def test_a_number_in_a_sheet_is_a_code(code: object, text: str) -> None:
    assert parse(code=code).code == text


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"code": ""}, "code is empty"),
        ({"code": None}, "code is empty"),
        ({"code": " \u00a0"}, "code is empty"),
        ({"code": "x" * 129}, "code is 129 characters long; at most 128"),
        ({"code": "A\x1b1"}, "code contains control"),
        ({"code": "A\n1"}, "code contains control"),
        ({"code": "A\u200b1"}, "code contains control or invisible"),
        ({"code": "A\ud8001"}, "code contains control"),
        ({"code": date(2024, 1, 2)}, "code was turned into a date"),
        ({"code": time(1, 2)}, "code was turned into a date"),
        ({"code": "#REF!"}, "error #REF! of a spreadsheet formula"),
        ({"name": ""}, "name is empty"),
        ({"name": "x" * 513}, "name is 513 characters long"),
        ({"name": "Bolt\x00"}, "name contains control"),
        ({"name": "Bolt\udfff"}, "name contains control"),
        ({"name": "#N/A"}, "error #N/A"),
        ({"maker": "x" * 256}, "manufacturer is 256 characters long"),
        ({"description": "x" * 32_768}, "description is 32768 characters long"),
    ],
)
def test_a_row_is_refused_with_a_reason(cells: dict[str, object], reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        parse(**cells)


def test_the_longest_texts_fit() -> None:
    row = parse(code="x" * 128, name="é" * 512, description="line\n\t" + "x" * 32_761, maker="x" * 255)
    assert (len(row.code), len(row.name), len(row.description), len(row.manufacturer)) == (
        128,
        512,
        32_767,
        255,
    )


@pytest.mark.parametrize("width", [0, 1, 5, 7])
def test_a_row_of_another_width_is_refused(width: int) -> None:
    with pytest.raises(RowError, match=f"has {width} columns where the header has 6"):
        PARSER.parse(Record(2, ["A1"] * width))


cells = st.one_of(
    st.none(),
    st.text(st.characters(), max_size=40),
    st.text("0123456789.,$€-+:/TZ ", max_size=24),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.booleans(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.dates(),
    st.times(),
    st.timedeltas(),
)


@given(st.lists(cells, min_size=5, max_size=7), st.timezones())
def test_whatever_the_cells_hold_a_row_or_a_reason_comes_out(values: list[object], zone: object) -> None:
    parser = RowParser(read_header(KNOWN), zone)  # type: ignore[arg-type]
    record = Record(2, values)
    assert isinstance(parser.code_of(record), str)
    try:
        row = parser.parse(record)
    except RowError:
        return
    for text, limit in ((row.code, 128), (row.name, 512), (row.description, 32_767), (row.manufacturer, 255)):
        assert len(text) <= limit
        assert text == unicodedata.normalize("NFC", text).strip()
        text.encode()
    assert row.code
    assert row.name
    assert row.price is None or (0 <= row.price < 10**14 and row.price == round(row.price, 4))
    assert row.add_time is None or row.add_time.utcoffset() == UTC.utcoffset(None)
