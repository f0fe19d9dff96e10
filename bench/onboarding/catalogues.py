"""Catalogues of any size to measure with, every row new and every text different."""

import csv
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from openpyxl import Workbook

HEADER = ("code", "name", "description", "manufacturer", "price", "add_time")

_CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def rows(count: int) -> Iterator[tuple[str, str, str, str, float, datetime]]:
    """`count` rows of about 150 characters in the order of HEADER."""
    start = datetime(2024, 1, 1)
    for number in range(count):
        yield (
            f"PART-{number:09d}",
            f"Sony Disc Player CDP-CE{number}",
            f"Disc Player CDP-CE{number}/ 5 Disc Capability/ Remote Control/ Ø {number % 977} mm, 20 Tracks",
            f"Maker {number % 997}",
            (number % 100_000) / 100,
            start + timedelta(seconds=number),
        )


def write_csv(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows(count))


def write_xlsx(path: Path, count: int) -> None:
    """A workbook with the texts in its cells, as libraries stream it."""
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet()
    sheet.append(HEADER)
    for row in rows(count):
        sheet.append(row)
    workbook.save(path)


def write_shared_xlsx(path: Path, count: int) -> None:
    """A workbook with the texts in the table of shared strings, as Excel saves it; times are texts too."""
    sheet_path = path.with_suffix(".sheet")
    strings_path = path.with_suffix(".strings")
    with sheet_path.open("w") as sheet, strings_path.open("w") as strings:
        sheet.write(f'<worksheet xmlns="{_MAIN}"><dimension ref="A1:F{count + 1}"/><sheetData>')
        strings.write(f'<sst xmlns="{_MAIN}">')
        index = 0
        for number, row in enumerate(_with_header(count), 1):
            cells = []
            for column, value in zip("ABCDEF", row, strict=True):
                if isinstance(value, float):
                    cells.append(f'<c r="{column}{number}"><v>{value}</v></c>')
                else:
                    strings.write(f"<si><t>{value}</t></si>")
                    cells.append(f'<c r="{column}{number}" t="s"><v>{index}</v></c>')
                    index += 1
            sheet.write(f'<row r="{number}" spans="1:6" ht="15">{"".join(cells)}</row>')
        sheet.write("</sheetData></worksheet>")
        strings.write("</sst>")
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.write(sheet_path, "xl/worksheets/sheet1.xml")
        archive.write(strings_path, "xl/sharedStrings.xml")
        for name, text in _frame().items():
            archive.writestr(name, text)
    sheet_path.unlink()
    strings_path.unlink()


def _with_header(count: int) -> Iterator[tuple[object, ...]]:
    yield HEADER
    yield from rows(count)


def _frame() -> dict[str, str]:
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "/xl/workbook.xml": "sheet.main",
        "/xl/worksheets/sheet1.xml": "worksheet",
        "/xl/sharedStrings.xml": "sharedStrings",
        "/xl/styles.xml": "styles",
    }
    overrides = "".join(
        f'<Override PartName="{name}" ContentType="{_CONTENT_TYPE}.{kind}+xml"/>' for name, kind in parts.items()
    )
    return {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">{overrides}</Types>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{relations}">'
        '<sheets><sheet name="Parts" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"/>',
    }
