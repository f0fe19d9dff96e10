"""The new user's transcript: its commands, and the answers that it shows of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.conftest import ROOT
from tests.docs.blocks import blocks_of

#: As the transcript's user had it, in place of the pages' 8000.
PORT = "8732"
PAGES = ("docs/index.md", "docs/add-a-job.md")

#: What stands on no page: where the clone comes from, and that the port was taken.
BEFORE = ("git clone … taskgate && cd taskgate",)
START = f"PORT={PORT} make run"

_CUT = "…"


@dataclass(frozen=True)
class Step:
    command: str
    shown: str  # with … for what is cut

    def is_shown_by(self, answer: str) -> bool:
        """Whether the answer is what is shown, whatever stands where it is cut."""
        parts = [re.escape(" ".join(part.split())) for part in self.shown.split(_CUT)]
        return re.search(" ?.*? ?".join(parts), " ".join(answer.split())) is not None


def _steps() -> list[Step]:
    found: list[Step] = []
    for block in blocks_of(ROOT / "docs" / "transcript.md"):
        for text in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            last = re.search(r"(?<!\\)\n", text)  # the first line that does not go on in the next one
            assert last, text
            found.append(Step(plain(text[: last.start()]), text[last.end() :]))
    return found


def plain(text: str) -> str:
    """In one line, with the pages' port."""
    return " ".join(text.replace("\\\n", " ").replace(f"127.0.0.1:{PORT}", "127.0.0.1:8000").split())


STEPS = _steps()
