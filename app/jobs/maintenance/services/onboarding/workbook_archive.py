"""The zip archive of a workbook, looked at before anything unpacks it."""

from collections.abc import Iterable
from typing import IO, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from defusedxml.ElementTree import iterparse

from .errors import CatalogueError

MIB = 1 << 20
# All parts together, unpacked. A sheet at Excel's limit of 1,048,576 rows and ten columns takes about 0.6
# GiB.
TOTAL_LIMIT = 2048 * MIB
# Sheets are packed 5 to 20 times, deflate can reach 1,032; small files are let off, whatever their ratio.
RATIO_LIMIT = 100
RATIO_FREE = 64 * MIB
# Held in memory while the sheet is read, at about six times this size (bench.onboarding --format
# xlsx-shared).
SHARED_STRINGS_LIMIT = 128 * MIB
# Any other part may be held in memory as a tree.
PART_LIMIT = 32 * MIB

_CONTENT_TYPES = "[Content_Types].xml"
_OVERRIDE = "{http://schemas.openxmlformats.org/package/2006/content-types}Override"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"
_SHARED_STRINGS = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"

_SAVE_AGAIN = "save the sheet alone as a new XLSX or as CSV in UTF-8 and send that"


def check_archive(file: BinaryIO) -> None:
    """See that a zip file is a workbook that can be unpacked within bounds; nothing but its list of types
    is unpacked.

    The sizes are those the archive declares, which is enough: zipfile never unpacks a part beyond its
    declared size.
    Raises: CatalogueError; zipfile.BadZipFile and what else a broken archive makes zipfile raise.
    """
    with ZipFile(file) as archive:
        parts = archive.infolist()
        names = {part.filename for part in parts}
        if "xl/workbook.xml" not in names or _CONTENT_TYPES not in names:
            raise CatalogueError(
                "The file is an archive, but not an XLSX workbook; save the table as XLSX or as CSV in UTF-8."
            )
        for part in parts:
            if part.flag_bits & 1:
                raise CatalogueError("The workbook is encrypted; save it without a password and send it again.")
            if part.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise CatalogueError(f"The workbook is packed in an unusual way; {_SAVE_AGAIN}.")
        packed = sum(part.compress_size for part in parts)
        unpacked = sum(part.file_size for part in parts)
        if unpacked > TOTAL_LIMIT or unpacked > max(RATIO_FREE, RATIO_LIMIT * packed):
            raise CatalogueError(
                f"The workbook would unpack to {unpacked // MIB} MiB, which is more than is taken; {_SAVE_AGAIN}."
            )
        _check_parts(archive)


def _check_parts(archive: ZipFile) -> None:
    sizes = [(part.filename, part.file_size) for part in archive.infolist()]
    if any(size > PART_LIMIT for name, size in sizes if name == _CONTENT_TYPES):
        raise CatalogueError(f"The workbook's list of contents is too large; {_SAVE_AGAIN}.")
    with archive.open(_CONTENT_TYPES) as listing:
        types = _declared_types(listing)
    for name, size in sizes:
        # What a part is called says nothing of how it is read: its declared types do, and it may have
        # several.
        limit = min((_limit(kind) for kind in types.get(name, [""])), default=PART_LIMIT)
        if size > limit:
            raise CatalogueError(
                f"A part of the workbook unpacks to {size // MIB} MiB where {limit // MIB} MiB are taken;"
                f" {_SAVE_AGAIN}."
            )


def _declared_types(listing: IO[bytes]) -> dict[str, list[str]]:
    types: dict[str, list[str]] = {}
    overrides: Iterable[tuple[object, object]] = iterparse(listing)
    for _, element in overrides:
        if getattr(element, "tag", None) == _OVERRIDE:
            attributes = element.attrib  # type: ignore[attr-defined]
            types.setdefault(attributes.get("PartName", "").lstrip("/"), []).append(attributes.get("ContentType", ""))
    return types


def _limit(kind: str) -> int:
    # A sheet is streamed, so only the sum bounds it.
    return {_SHEET: TOTAL_LIMIT, _SHARED_STRINGS: SHARED_STRINGS_LIMIT}.get(kind, PART_LIMIT)
