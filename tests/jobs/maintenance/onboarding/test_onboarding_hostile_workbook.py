"""Archives that are no workbook, are broken, or are made to do harm."""

import random
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.jobs.maintenance.services.onboarding import CatalogueError, workbook_archive, workbook_catalogue
from app.jobs.maintenance.services.onboarding.catalogue import open_catalogue

SHARED_STRINGS = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
SHEET = "xl/worksheets/sheet1.xml"
Save = Callable[..., Path]


def read(path: Path) -> list[tuple[int, tuple[object, ...]]]:
    with open_catalogue(path) as catalogue:
        return [(0, tuple(catalogue.header)), *((r.line, tuple(r.cells)) for r in catalogue.records())]


def in_sheet(old: bytes, new: bytes) -> Callable[[str, bytes], bytes | None]:
    def change(name: str, content: bytes) -> bytes:
        if name == SHEET:
            assert old in content
            return content.replace(old, new)
        return content

    return change


def with_shared_strings(path: Path, repack: Save) -> Path:
    """Move the text `Bolt` from its cell to the table of shared strings, where Excel keeps all texts."""
    strings = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>Bolt</t></si></sst>'
    override = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{SHARED_STRINGS}"/></Types>'.encode()

    def change(name: str, content: bytes) -> bytes:
        if name == SHEET:
            assert b't="inlineStr"><is><t>Bolt</t></is>' in content
            return content.replace(b't="inlineStr"><is><t>Bolt</t></is>', b't="s"><v>0</v>')
        return content.replace(b"</Types>", override) if name == "[Content_Types].xml" else content

    return repack(path, change, {"xl/sharedStrings.xml": strings})


def test_the_xml_parser_is_the_defused_one() -> None:
    assert openpyxl.DEFUSEDXML


def test_a_row_number_beyond_any_sheet_ends_the_reading(
    repack: Save, workbook: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook_catalogue, "MAX_ROWS", 1000)
    path = workbook(("code", "name"), ("A1", "Bolt"))
    repack(path, in_sheet(b'<row r="2"', b'<row r="99999999999"'))
    with pytest.raises(CatalogueError, match="beyond number 1000"):
        read(path)


def archive_of(*names: str) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"<x/>")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive_of(), "not an XLSX workbook"),
        (archive_of("word/document.xml", "[Content_Types].xml"), "not an XLSX workbook"),
        (archive_of("xl/workbook.xml", "[Content_Types].xml"), "broken"),
        (b"PK\x03\x04" + b"x" * 500, "broken"),
    ],
)
def test_an_archive_that_is_no_workbook_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=message):
        read(path)


def test_an_encrypted_part_is_refused(workbook: Save) -> None:
    path = workbook(("code", "name"))
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match="encrypted"):
        read(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_packing_is_refused(workbook: Save, method: int) -> None:
    path = workbook(("code", "name"))
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("xl/extra.xml", b"<x/>")
    with pytest.raises(CatalogueError, match="packed in an unusual way"):
        read(path)


def test_a_bomb_is_refused_by_its_ratio(repack: Save, workbook: Save) -> None:
    path = repack(workbook(("code", "name")), lambda name, content: content, {"xl/media/a.bin": bytes(80 << 20)})
    assert path.stat().st_size < 1 << 20
    with pytest.raises(CatalogueError, match="would unpack to 80 MiB"):
        read(path)


def test_a_bomb_is_refused_by_its_sum(repack: Save, workbook: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_archive, "TOTAL_LIMIT", 4 << 20)
    noise = random.Random(1).randbytes(5 << 20)
    path = repack(workbook(("code", "name")), lambda name, content: content, {"xl/media/a.bin": noise})
    with pytest.raises(CatalogueError, match="would unpack to 5 MiB"):
        read(path)


@pytest.mark.parametrize(
    ("limit", "part"),
    [
        ("PART_LIMIT", "xl/styles.xml"),
        ("PART_LIMIT", "docProps/core.xml"),
        ("SHARED_STRINGS_LIMIT", "xl/sharedStrings.xml"),
    ],
)
def test_a_part_that_would_stand_in_memory_is_bounded(
    repack: Save, workbook: Save, monkeypatch: pytest.MonkeyPatch, limit: str, part: str
) -> None:
    monkeypatch.setattr(workbook_archive, limit, 1 << 20)
    path = with_shared_strings(workbook(("code", "name"), ("A1", "Bolt")), repack)
    repack(path, lambda name, content: content + b" " * (2 << 20) if name == SHEET else content)
    assert read(path)[1] == (2, ("A1", "Bolt")), "a sheet is streamed and may be larger"
    repack(path, lambda name, content: content + b" " * (2 << 20) if name == part else content)
    with pytest.raises(CatalogueError, match="A part of the workbook unpacks to 2 MiB where 1 MiB are taken"):
        read(path)


def test_shared_strings_that_pose_as_a_sheet_are_bounded(
    repack: Save, workbook: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook_archive, "SHARED_STRINGS_LIMIT", 1 << 20)

    def change(name: str, content: bytes) -> bytes:
        override = f'<Override PartName="/{SHEET}" ContentType="{SHARED_STRINGS}"/></Types>'.encode()
        if name == "[Content_Types].xml":
            return content.replace(b"</Types>", override)
        return content + b" " * (2 << 20) if name == SHEET else content

    with pytest.raises(CatalogueError, match="where 1 MiB are taken"):
        read(repack(workbook(("code", "name")), change))


def test_entities_are_not_expanded(repack: Save, workbook: Save) -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f'<!DOCTYPE x [<!ENTITY e0 "boom">{levels}]>'.encode()
    path = workbook(("code", "name"), ("A1", 5))
    repack(
        path,
        lambda name, content: doctype + content.replace(b"<v>5</v>", b"<v>&e9;</v>") if name == SHEET else content,
    )
    with pytest.raises(CatalogueError, match="broken"):
        read(path)


def test_a_time_limit_of_the_worker_is_not_taken_for_a_broken_file(
    workbook: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TimeLimit(Exception):
        pass

    def interrupted(*args: object, **kwargs: object) -> Iterator[object]:
        raise TimeLimit

    path = workbook(("code", "name"))
    monkeypatch.setattr(workbook_catalogue, "load_workbook", interrupted)
    with pytest.raises(TimeLimit):
        read(path)


@cache
def small_workbook() -> bytes:
    # Made once: the archive carries the time, and hypothesis must find the same bytes at every try.
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["code", "name", "add_time"])
    sheet.append(["A1", "Bolt", datetime(2024, 3, 1)])
    buffer = BytesIO()
    book.save(buffer)
    return buffer.getvalue()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_workbook_is_read_or_refused(
    repack: Save, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "upload"
    path.write_bytes(small_workbook())
    if data.draw(st.booleans(), label="inside a part"):
        chosen = data.draw(st.sampled_from(zipfile.ZipFile(path).namelist()))
        repack(path, lambda name, content: damage(data, content) if name == chosen else content)
    else:
        path.write_bytes(damage(data, path.read_bytes()))
    with suppress(CatalogueError):
        read(path)


def damage(data: st.DataObject, content: bytes) -> bytes:
    start = data.draw(st.integers(0, len(content)))
    return content[:start] + data.draw(st.binary(max_size=6)) + content[start + data.draw(st.integers(0, 20)) :]
