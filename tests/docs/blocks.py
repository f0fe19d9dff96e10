"""The blocks of code in README and the manual, and what stands above each in an HTML comment."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

#: In this order; the first one starts what all others use.
FIRST = ("docs/index.md", "README.md", "docs/add-a-job.md", "docs/clients.md")
PATTERNS = ("*.md", "docs/**/*.md", "deploy/**/*.md", "examples/**/*.md", "bench/**/*.md")


def _place(page: Path) -> tuple[int, Path]:
    name = str(page.relative_to(ROOT))
    return (FIRST.index(name) if name in FIRST else len(FIRST), page)


PAGES = sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)}, key=_place)

_BLOCK = re.compile(
    r"""
    (?:^\ *<!--\ (?P<comment>[^\n]*?)\ -->\n)?
    ^(?P<indent>\ *)```(?P<language>[\w-]*)[^\n]*\n
    (?P<text>.*?)
    ^(?P=indent)```$
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_FILE = re.compile(r"# ((?:app|tests|libs)/[\w/]+\.py)\b")


@dataclass(frozen=True)
class Block:
    """``comment`` is ``not run: <reason>``, ``answered <status>`` or nothing."""

    page: str
    line: int
    language: str
    text: str
    comment: str

    @property
    def is_run(self) -> bool:
        return not self.comment.startswith("not run:")

    @property
    def expected_status(self) -> int | None:
        """The HTTP error that the block is to show."""
        named = re.fullmatch(r"answered (\d{3})", self.comment)
        return int(named[1]) if named else None

    @property
    def file(self) -> str | None:
        """The file of the repository that the block is, by its first line."""
        named = _FILE.match(self.text)
        return named[1] if named else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page=str(page.relative_to(ROOT)),
            line=text.count("\n", 0, match.start("indent")) + 1,
            language=match["language"],
            text=textwrap.dedent(match["text"]),
            comment=match["comment"] or "",
        )
        for match in _BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
