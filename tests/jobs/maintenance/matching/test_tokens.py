"""What a row is cut into."""

import pytest

from app.jobs.maintenance.services.matching.records import PartText
from app.jobs.maintenance.services.matching.tokens import Tokens, fold, stem, tokenise


def tokens(name: str, description: str = "") -> Tokens:
    return tokenise(PartText("A", name, description, "", None))


@pytest.mark.parametrize(
    ("name", "identifiers"),
    [
        ("Turntable PS-LX350H", ("pslx350h",)),
        ("Camera (DSC-W120/B)", ("dscw120b",)),
        ("Antenna 14240", ("14240",)),
        ("Adapter 010-00715-20", ("0100071520",)),
        ("Lens 55-200mm", ()),
        ("Grill 22-1/2 wide", ()),
        ("Camera 6.3fps", ()),
        ("Coffee maker 10-cup", ()),
        ("Switch 10/100/1000", ()),
        ("Pump 750 W", ()),
    ],
)
def test_identifiers(name: str, identifiers: tuple[str, ...]) -> None:
    assert tokens(name).identifiers == identifiers


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [("dscw120b", "dscw120"), ("pslx350h", "pslx350"), ("cli8", "cli8"), ("8b", "8b"), ("1234b", "1234")],
)
def test_stem(identifier: str, expected: str) -> None:
    assert stem(identifier) == expected


def test_neighbours_are_joined() -> None:
    assert {"xha1s", "canonxh"} <= tokens("Canon XH A1S").compounds


def test_scripts_without_spaces_are_cut_into_pairs() -> None:
    assert tokens("六角螺栓").words == {"六角", "角螺", "螺栓"}


@pytest.mark.parametrize(("one", "other"), [("Ｍ８", "m8"), ("Café", "cafe\u0301"), ("  A  b ", "a b"), ("½", "1⁄2")])
def test_fold(one: str, other: str) -> None:
    assert fold(one) == fold(other)
