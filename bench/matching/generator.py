"""A parts catalogue with known duplicates: invented parts, some listed again the way other people type them.

The same number of rows and seed give the same table everywhere. Near misses need no making: within a family
parts differ in one size, one seal or one colour, as they do in real catalogues.
"""

from itertools import combinations
from random import Random

from .abt_buy import Row
from .families import FAMILIES, Part

_ABBREVIATIONS = {"bearing": "brg", "stainless": "s/s", "steel": "stl", "resistor": "res", "screw": "scr",
                  "pump": "pmp",
                  "heavy": "hvy", "industrial": "ind.", "supply": "sup.", "valve": "vlv",
                  "cable": "cbl"}  # fmt: skip
_OTHER_UNITS = {
    "W": ("kW", 1000.0),
    "m": ("cm", 0.01),
    "mm": ("cm", 10.0),
    "V": ("volt", 1.0),
    "A": ("amp", 1.0),
}


def generate(rows: int, seed: int = 20) -> tuple[list[Row], list[tuple[str, str]]]:
    """`rows` rows in random order, a third of them in groups of 2 to 4 that are one part, and the true
    pairs."""
    random = Random(seed)
    table: list[Row] = []
    truth: list[tuple[str, str]] = []
    known: set[tuple[str, ...]] = set()
    while len(table) < rows:
        part = random.choice(FAMILIES)(random)
        identity = (part.model,) if part.model else (*part.words, *part.sizes)
        if identity in known:
            continue
        known.add(identity)
        copies = min(random.choices([1, 2, 3, 4], [80, 15, 4, 1])[0], rows - len(table))
        codes = [f"P{len(table) + copy:07d}" for copy in range(copies)]
        table += [_listed(part, code, copy, random) for copy, code in enumerate(codes)]
        truth += combinations(codes, 2)
    random.shuffle(table)
    return table, truth


def _listed(part: Part, code: str, copy: int, random: Random) -> Row:
    words, sizes, model = list(part.words), list(part.sizes), part.model
    maker, detail, price = part.maker, part.detail, part.price
    if copy:
        words = _retyped(words, random)
        sizes = [_other_unit(size) if random.random() < 0.3 else size for size in sizes]
        model = _repunctuated(model, random)
        maker = random.choice([maker, maker, maker.upper(), ""])
        detail = random.choice([detail, "", ""])
        price *= random.uniform(0.85, 1.2)
    pieces = [*words, *sizes, model]
    if copy and random.random() < 0.4:
        pieces = [model, *sizes, *words]
    name = " ".join(piece for piece in pieces if piece)
    if part.maker and random.random() < 0.5:
        name = f"{part.maker} {name}"
    stated = None if random.random() < 0.25 else round(price, 2)
    return Row(code=code, name=name, description=detail, manufacturer=maker, price=stated)


def _retyped(words: list[str], random: Random) -> list[str]:
    words = [_ABBREVIATIONS.get(word.lower(), word) if random.random() < 0.4 else word for word in words]
    if random.random() < 0.3:
        random.shuffle(words)
    if random.random() < 0.35:
        at = random.randrange(len(words))
        words[at] = _typo(words[at], random)
    if random.random() < 0.2:
        words.append(random.choice(["new", "original", "OEM", "stock"]))
    return [word.upper() for word in words] if random.random() < 0.2 else words


def _typo(word: str, random: Random) -> str:
    if len(word) < 4 or not word.isalpha():
        return word
    at = random.randrange(1, len(word) - 1)
    return random.choice([word[:at] + word[at + 1 :], word[:at] + word[at + 1] + word[at] + word[at + 2 :]])


def _other_unit(size: str) -> str:
    value, _, unit = size.partition(" ")
    if unit not in _OTHER_UNITS:
        return size
    name, factor = _OTHER_UNITS[unit]
    return f"{float(value) / factor:g} {name}"


def _repunctuated(model: str, random: Random) -> str:
    return random.choice(
        [model, model.replace("-", ""), model.replace("/", "-"), model.replace("/", "").replace("-", " ")]
    )
