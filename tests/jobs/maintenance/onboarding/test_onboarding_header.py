"""The header row."""

import pytest

from app.jobs.maintenance.services.onboarding import CatalogueError
from app.jobs.maintenance.services.onboarding.header import read_header


def test_titles_are_found_in_any_case_and_order() -> None:
    columns = read_header([" Price", "NAME", "Colour", "cOde ", "", None, "Add_Time"])
    assert (columns.price, columns.name, columns.code, columns.add_time) == (0, 1, 3, 6)
    assert (columns.description, columns.manufacturer) == (-1, -1)
    assert columns.present == ("code", "name", "price", "add_time")
    assert columns.unused == ("colour",)
    assert columns.titles == ("Price", "NAME", "Colour", "cOde", "", "", "Add_Time")


@pytest.mark.parametrize(
    ("titles", "message"),
    [
        (["name", "price"], "no column 'code'; it has 'name', 'price'"),
        (["codes", "name"], "no column 'code'; is 'codes' meant"),
        (["code", "nmae"], "no column 'name'; is 'nmae' meant"),
        (["x" * 5000], "no column 'code'; it has 'xxx"),
        ([], "it has nothing"),
        (["code", "name", "CODE "], "'code' stands twice"),
        (["code", "name", "size", "Size"], "'size' stands twice"),
        (["code", "name", *map(str, range(255))], "more than 256 columns"),
    ],
)
def test_a_header_that_cannot_be_used_is_told(titles: list[str], message: str) -> None:
    with pytest.raises(CatalogueError, match=message) as caught:
        read_header(titles)
    assert len(str(caught.value)) < 1000


def test_blank_titles_may_repeat() -> None:
    assert read_header(["code", "name", "", " ", None]).unused == ()
