"""Quantities with a unit, brought to one unit per dimension: `1 kW` and `1000 watts` are one measure."""

import re

# Foot and inch marks: a double mark is inches; a single mark stands for feet in one catalogue and for inches
# in the next, so it is a dimension of its own, comparable with nothing but another single mark.
_UNITS: dict[str, tuple[str, float]] = {
    "mm": ("length", 1.0), "cm": ("length", 10.0), "m": ("length", 1000.0), "meter": ("length", 1000.0),
    "metre": ("length", 1000.0), "in": ("length", 25.4), "inch": ("length", 25.4), "inches": ("length", 25.4),
    '"': ("length", 25.4), "''": ("length", 25.4), "ft": ("length", 304.8), "feet": ("length", 304.8),
    "foot": ("length", 304.8), "'": ("mark", 1.0),
    "g": ("mass", 1.0), "kg": ("mass", 1000.0), "lb": ("mass", 453.6), "lbs": ("mass", 453.6),
    "oz": ("mass", 28.35),
    "cu ft": ("volume", 28316.8), "cuft": ("volume", 28316.8), "cf": ("volume", 28316.8),
    "cu in": ("volume", 16.387),
    "sq ft": ("area", 144.0), "sq in": ("area", 1.0),
    "ml": ("volume", 1.0), "l": ("volume", 1000.0), "liter": ("volume", 1000.0), "litre": ("volume", 1000.0),
    "mb": ("data", 0.001), "gb": ("data", 1.0), "tb": ("data", 1000.0),
    "hz": ("frequency", 1.0), "khz": ("frequency", 1e3), "mhz": ("frequency", 1e6), "ghz": ("frequency", 1e9),
    "v": ("voltage", 1.0), "volt": ("voltage", 1.0), "kv": ("voltage", 1000.0), "mv": ("voltage", 0.001),
    "w": ("power", 1.0), "watt": ("power", 1.0), "kw": ("power", 1000.0), "btu": ("heat", 1.0),
    "a": ("current", 1.0), "amp": ("current", 1.0), "ma": ("current", 0.001), "mah": ("charge", 1.0),
    "ah": ("charge", 1000.0), "ohm": ("resistance", 1.0), "kohm": ("resistance", 1e3),
    "mohm": ("resistance", 1e6),
    "pf": ("capacitance", 1.0), "nf": ("capacitance", 1e3), "uf": ("capacitance", 1e6),
    "bar": ("pressure", 1.0), "kpa": ("pressure", 0.01), "mpa": ("pressure", 10.0),
    "psi": ("pressure", 0.06895),
    "rpm": ("speed", 1.0), "megapixel": ("pixels", 1.0), "mp": ("pixels", 1.0),
    "pack": ("count", 1.0), "pcs": ("count", 1.0), "pieces": ("count", 1.0), "port": ("ports", 1.0),
}  # fmt: skip
_PLURALS = {unit + "s": unit for unit in ("meter", "metre", "liter", "litre", "volt", "watt", "amp", "ohm", "port")}
_ALIASES = {
    **_PLURALS,
    "packs": "pack",
    "megapixels": "megapixel",
    "kω": "kohm",
    "mω": "mohm",
    "ω": "ohm",
}
_NAMES = sorted((*_UNITS, *_ALIASES), key=len, reverse=True)
_MEASURE = re.compile(
    r"(?<![\w.,/-])(\d+(?:[.,]\d+)?)\s*-?\s*("
    + "|".join(re.escape(name).replace("\\ ", r"\.?\s*") for name in _NAMES)
    + r")(?![\w'\"])"
)
# Sizes side by side, also of a metric thread: `M8x40`, `2 x 0.5`, `1920x1080`.
_SIDES = re.compile(r"(?<![\w.,/-])m?(\d+(?:[.,]\d+)?(?:\s*[x\u00d7]\s*\d+(?:[.,]\d+)?)+)(?![\w.,/]*\w)")

Measure = tuple[str, tuple[float, ...]]
"""A dimension and its value in the dimension's base unit; several values for sizes side by side."""


def find_measures(folded: str) -> tuple[frozenset[Measure], str]:
    """The measures of a folded text, and the text without them."""
    found: set[Measure] = set()

    def take_sides(match: re.Match[str]) -> str:
        found.add(("size", tuple(_number(side) for side in re.split(r"\s*[x\u00d7]\s*", match[1]))))
        return " "

    def take(match: re.Match[str]) -> str:
        unit = re.sub(r"\.?\s+|\.", " ", match[2])
        dimension, factor = _UNITS[_ALIASES.get(unit, unit)]
        found.add((dimension, (float(f"{_number(match[1]) * factor:.4g}"),)))
        return " "

    rest = _MEASURE.sub(take, _SIDES.sub(take_sides, folded))
    return frozenset(found), rest


def conflicting(left: frozenset[Measure], right: frozenset[Measure]) -> list[str]:
    """Dimensions that both sides state and on which no value agrees, in order."""
    if not left or not right:
        return []
    clashes = []
    for dimension in sorted({name for name, _ in left} & {name for name, _ in right}):
        ours = [values for name, values in left if name == dimension]
        theirs = [values for name, values in right if name == dimension]
        if not any(_agree(one, other) for one in ours for other in theirs):
            clashes.append(dimension)
    return clashes


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _agree(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(one) == len(other) and all(_close(x, y) for x, y in zip(one, other, strict=True))


def _close(x: float, y: float) -> bool:
    # Sizes are quoted rounded or cut: 14.7 megapixels are sold as 14.
    gap = abs(x - y) / max(x, y, 1e-9)
    return gap <= 0.02 or (gap <= 0.06 and x.is_integer() != y.is_integer())
