"""A catalogue file of either kind, told by its content."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .csv_catalogue import open_csv
from .errors import CatalogueError
from .records import CatalogueReader
from .workbook_catalogue import open_workbook

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# The container of .xls, and of every Office file that is protected by a password.
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@contextmanager
def open_catalogue(path: Path) -> Iterator[CatalogueReader]:
    """Open an XLSX (a zip archive) or else a CSV; a client's file name is not asked.

    Raises: CatalogueError when the file is neither; OSError when the server cannot read it.
    """
    with path.open("rb") as binary:
        start = binary.read(len(_COMPOUND))
    if start == _COMPOUND:
        raise CatalogueError(
            "The file is an old Excel workbook (.xls) or is protected by a password;"
            " save it as XLSX without a password and send it again."
        )
    with open_workbook(path) if start.startswith(_ZIP) else open_csv(path) as catalogue:
        yield catalogue
