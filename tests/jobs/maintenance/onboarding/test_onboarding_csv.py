"""CSV files: encodings, separators, quotes, headers, line numbers, and files that are no CSV."""

import codecs
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.jobs.maintenance.services.onboarding import CatalogueError
from app.jobs.maintenance.services.onboarding.catalogue import open_catalogue

Read = Callable[[bytes], list[tuple[int, list[object]]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Header and records of a file as (line, cells); the header's line is not known and stands as 0."""

    def run(content: bytes) -> list[tuple[int, list[object]]]:
        path = tmp_path / "upload"
        path.write_bytes(content)
        with open_catalogue(path) as catalogue:
            return [(0, list(catalogue.header)), *((r.line, list(r.cells)) for r in catalogue.records())]

    return run


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    ],
)
def test_encodings(read: Read, encode: Callable[[str], bytes]) -> None:
    assert read(encode("code,name\nA1,Größe 螺丝\n")) == [(0, ["code", "name"]), (2, ["A1", "Größe 螺丝"])]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(read: Read, separator: str, end: str) -> None:
    lines = [["code", "name", "price"], ["A1", "a,b" if separator != "," else "a;b", "1"], ["A2", "", "2"]]
    content = "".join(separator.join(line) + end for line in lines)
    assert read(content.encode()) == [(0, lines[0]), (2, lines[1]), (3, lines[2])]


def test_the_separator_is_told_by_the_known_titles(read: Read) -> None:
    assert read(b"code;name;a,b,c,d,e\nA1;Bolt;x\n")[1] == (2, ["A1", "Bolt", "x"])


def test_quoted_line_ends_count_as_lines_and_blank_rows_are_left_out(read: Read) -> None:
    content = b'\n\ncode,name\n"A1","Bolt\nlong ""x"""\n\n,\nA2,Nut\n   ,  \nA3,"a,b"\n\n'
    assert read(content)[1:] == [(4, ["A1", 'Bolt\nlong "x"']), (8, ["A2", "Nut"]), (10, ["A3", "a,b"])]


def test_a_space_before_a_quote_is_no_part_of_the_text(read: Read) -> None:
    assert read(b'"code", "name"\n"A1", "a,b"\n')[1] == (2, ["A1", "a,b"])


def test_a_misplaced_quote_costs_its_own_record_only(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b'code,name\nA1,"12" pipe"\nA2,Nut\nA3,"open\nA4,"x"\nA5,Cap\n')
    with open_catalogue(path) as catalogue:
        records = list(catalogue.records())
    assert [(r.line, r.cells[0], r.problem is None) for r in records] == [
        (2, 'A1,"12" pipe"', False),
        (3, "A2", True),
        (4, 'A3,"open\nA4,"x"', False),
        (6, "A5", True),
    ]
    assert "lines 4 to 5" in str(records[2].problem)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty"),
        (b"\n \n,,\n", "The file is empty"),
        (codecs.BOM_UTF8, "The file is empty"),
        (b"code,name\nA1,caf\xe9\n", r"offset 16 \(line 2\) is not UTF-8"),
        (codecs.BOM_UTF8 + b"code,name\nA1,caf\xe9\n", r"offset 19 \(line 2\) is not UTF-8"),
        (b"code,name\n" + b"A1,Bolt\n" * 100_000 + b"\xff", r"offset 800010 \(line 100002\) is not UTF-8"),
        # A character stands across the end of a block of 64 KiB, here and there.
        (
            b"code,name,xxx\r\n" + b"A1,\xe8\x9e\xba\n" * 30_000 + b"\xe8\x9e,",
            r"offset 210015 \(line 30002\)",
        ),
        (b"code,name\nA1,caf\xc3", "cut off"),
        (
            codecs.BOM_UTF16_LE + "code,name\nA1,".encode("utf-16-le") + b"\x00\xdc,\x00",
            r"offset 28 \(line 2\) is not UTF-16",
        ),
        (codecs.BOM_UTF16_LE + "code,name\n".encode("utf-16-le") + b"A", "cut off"),
        (b"code,name\nA1,Bo\x00lt\n", "Line 2 contains NUL"),
        ("code,name\n".encode("utf-16-le"), "Line 1 contains NUL"),
        (b'"code,name\nA1,Bolt\n', "never ends"),
        (b'code,name\nA1,"Bolt\n' + b"A2,Nut\n" * 10, "line 2 has a text that never ends"),
        (b'code,name\nA1,"Bolt\n' + b"A2,Nut\n" * 30_000, "line 2 has a text that never ends"),
        (b"code,name\nA1," + b"x" * 200_000 + b"\n", "line 2 has a text that never ends"),
        (b"code,name\n" + b"x," * 600_000 + b"\n", "longer than 1048576 characters"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is not UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "old Excel workbook"),
    ],
)
def test_what_is_no_csv_is_refused(read: Read, content: bytes, message: str) -> None:
    with pytest.raises(CatalogueError, match=message) as caught:
        read(content)
    assert str(caught.value).endswith(".")
    assert "/" not in str(caught.value)


@pytest.mark.parametrize("start", [b"", codecs.BOM_UTF16_LE, b"code,name\n"])
@pytest.mark.parametrize("filling", [os.urandom(10 << 20), bytes(10 << 20), b"x" * (10 << 20)])
def test_ten_megabytes_of_garbage_are_refused_quickly(read: Read, start: bytes, filling: bytes) -> None:
    started = time.process_time()
    with pytest.raises(CatalogueError):
        read(start + filling)
    assert time.process_time() - started < 2


def test_progress_is_in_bytes_and_ends_full(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"code,name\n" + b"A1,Bolt\n" * 5_000)
    with open_catalogue(path) as catalogue:
        seen = [catalogue.progress() for _ in catalogue.records()]
    assert seen == sorted(seen)
    assert seen[0][0] < seen[-1][0] == 40_010
    assert {total for _, total in seen} == {40_010}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda tail: b"code,name\n" + tail),
        st.binary(max_size=100).map(lambda tail: codecs.BOM_UTF16_LE + "code,name\n".encode("utf-16-le") + tail),
        st.text('Aé,;\t"\r\n\0 ', max_size=60).map(lambda tail: b"code,name\n" + tail.encode()),
    )
)
def test_any_bytes_are_read_or_refused(read: Read, content: bytes) -> None:
    try:
        records = read(content)[1:]
    except CatalogueError:
        return
    lines = [line for line, _ in records]
    assert lines == sorted(set(lines))
