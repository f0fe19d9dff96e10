"""The header row: which column of the file holds what."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from .errors import CatalogueError
from .records import shown

REQUIRED = ("code", "name")
OPTIONAL = ("description", "manufacturer", "price", "add_time")
KNOWN = REQUIRED + OPTIONAL
MAX_COLUMNS = 256


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each known column stands; -1 where the file has none. `unused` are the titles that mean nothing
    to us.
    """

    titles: tuple[str, ...]
    code: int
    name: int
    description: int
    manufacturer: int
    price: int
    add_time: int
    unused: tuple[str, ...]

    @property
    def present(self) -> tuple[str, ...]:
        """The known columns that the file has, in the order of KNOWN."""
        return tuple(name for name in KNOWN if getattr(self, name) >= 0)


def normalise_title(cell: object) -> str:
    """A title in the one spelling in which titles are compared: NFC, trimmed, without case."""
    return unicodedata.normalize("NFC", shown(cell)).strip().casefold()


def read_header(cells: Sequence[object]) -> Columns:
    """Find the known columns in a header row, whatever their case and order.

    Raises: CatalogueError when `code` or `name` is missing, a title stands twice, or there are too many
    columns.
    """
    if len(cells) > MAX_COLUMNS:
        raise CatalogueError(f"The header has more than {MAX_COLUMNS} columns; remove those that are not needed.")
    titles = [normalise_title(cell) for cell in cells]
    for title in titles:
        if title and titles.count(title) > 1:
            raise CatalogueError(f"The column {_quoted(title)} stands twice in the header; rename or remove one.")
    missing = [name for name in REQUIRED if name not in titles]
    if missing:
        raise CatalogueError(_missing(missing[0], [title for title in titles if title]))
    positions = {name: titles.index(name) if name in titles else -1 for name in KNOWN}
    return Columns(
        titles=tuple(shown(cell).strip() for cell in cells),
        unused=tuple(title for title in titles if title and title not in KNOWN),
        **positions,
    )


def _missing(name: str, titles: list[str]) -> str:
    candidates = [title for title in titles if title not in KNOWN]
    nearest = get_close_matches(name, [title[:64] for title in candidates], n=1)
    if nearest:
        return f"The header has no column {name!r}; is {_quoted(nearest[0])} meant? Rename it to {name!r}."
    found = ", ".join(_quoted(title) for title in titles[:10]) or "nothing"
    return (
        f"The header has no column {name!r}; it has {found}. The first row must name the columns,"
        f" {' and '.join(REQUIRED)} among them."
    )


def _quoted(title: str) -> str:
    return repr(title if len(title) <= 40 else title[:39] + "…")
