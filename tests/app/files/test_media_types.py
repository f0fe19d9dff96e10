"""Which types of files are taken."""

from __future__ import annotations

import pytest

from app.files import UploadTypeError
from app.files.media_types import check_content, check_told, told_type

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TABLES = ("text/csv", XLSX)


@pytest.mark.parametrize(
    ("declared", "name", "told"),
    [
        ("text/csv", "parts.csv", "text/csv"),
        ("text/csv", "upload", "text/csv"),
        ("application/octet-stream", "parts.csv", "text/csv"),
        ("application/vnd.ms-excel", "parts.csv", "text/csv"),  # as Windows declares it
        ("", "Parts.XLSX", XLSX),
        ("", "upload", "application/octet-stream"),
    ],
)
def test_the_name_counts_where_nothing_is_declared(declared: str, name: str, told: str) -> None:
    assert told_type(declared, name) == told


@pytest.mark.parametrize(
    ("declared", "name"), [("text/csv", "parts.csv"), ("text/csv", "upload"), ("", "parts.xlsx"), (XLSX, "a.xlsx")]
)
def test_what_is_on_the_list_is_taken(declared: str, name: str) -> None:
    check_told(declared, name, TABLES)
    check_told("image/png", "x.png", ("image/*",))
    check_told("application/x-anything", "a.exe", ())


@pytest.mark.parametrize(
    ("declared", "name"),
    [("text/html", "parts.csv"), ("text/csv", "page.html"), ("", "upload"), ("", "a.pdf"), ("text/csvx", "upload")],
)
def test_what_is_not_on_the_list_is_refused_with_the_list(declared: str, name: str) -> None:
    with pytest.raises(UploadTypeError) as refused:
        check_told(declared, name, TABLES)

    assert refused.value.allowed == TABLES


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"code,name\n", "text/csv"),
        ("код".encode("utf-16"), "text/csv"),
        (b"MZ-1,Bolt\n", "text/csv"),
        (b"PK\x03\x04...", XLSX),
        (b"PK\x03\x04...", "application/zip"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"anything", "application/x-own"),
    ],
)
def test_content_that_may_be_what_it_says_is_taken(head: bytes, told: str) -> None:
    check_content(head, told, (told,))


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"PK\x03\x04...", "text/csv"),
        (b"\x7fELF\x02", "text/csv"),
        (b"a,\x00\x01b", "text/csv"),
        (b"<html>", "image/png"),
        (b"code,name\n", XLSX),
        (b"%PDF-1.7", XLSX),
        (b"\x89PNG\r\n\x1a\n...", "application/pdf"),
    ],
)
def test_content_that_gives_the_lie_to_its_type_is_refused(head: bytes, told: str) -> None:
    with pytest.raises(UploadTypeError):
        check_content(head, told, (told,))
    check_content(head, told, ())
