"""Text to tokens: the words, identifiers (model numbers) and measures of one row."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from .measures import Measure, find_measures
from .records import PartText

_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_INNER = re.compile(r"[\W_]+")
# Scripts written without spaces between words: their runs are cut into character pairs.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")
# Ranges, fractions, ratios, decimals and counts (`55-200mm`, `22-1/2`, `1,080`, `50:1`, `6.3fps`, `7-cycle`)
# only look like identifiers.
_QUANTITY = re.compile(
    r"^\W?\d+(?:[.x-]\d+)*[-x]\d+(?:mm|cm|m|in|ft|v|w|a|hz)$|\d/\d|,|\d:\d|^\D{0,2}\d{1,2}\.\d{1,2}\D*$|^\d{1,2}-[^\W\d]{2,}$"
)
_SUFFIX = re.compile(r"(?<=\d)[^\W\d_]{1,4}$")
_LONG_NUMBER = re.compile(r"\d{4,}")
_LONGEST = 24
_IDENTIFIER = re.compile(r"(?=\D*\d)(?!\d{3}$).{3,24}$")
_DESCRIPTION_AS_NAME = 120


@dataclass(frozen=True, slots=True)
class Tokens:
    """One row cut up; `compounds` join neighbouring words, `details` are the description's words."""

    name: str
    words: frozenset[str]
    identifiers: tuple[str, ...]
    parts: frozenset[str]
    compounds: frozenset[str]
    details: frozenset[str]
    detail_identifiers: frozenset[str]
    measures: frozenset[Measure]
    maker: str


def fold(text: str) -> str:
    """The text in one spelling of width, case and accents, and with single spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(unicodedata.normalize("NFKC", bare).split())


def is_identifier(token: str) -> bool:
    """Whether a squashed token looks like a model number: letters with digits, or four and more digits."""
    return not token.isalpha() and _IDENTIFIER.match(token) is not None


@lru_cache(maxsize=200_000)
def stem(identifier: str) -> str:
    """The identifier without closing letters (colour, region, packing): `dscw120b` gives `dscw120`."""
    shortened = _SUFFIX.sub("", identifier)
    return shortened if is_identifier(shortened) else identifier


def long_numbers(identifier: str) -> list[str]:
    """The runs of four and more digits, which some sources give without the letters around them."""
    return [run for run in _LONG_NUMBER.findall(identifier) if run != identifier]


@dataclass(frozen=True, slots=True)
class _Split:
    words: list[str]
    chunks: list[str]
    identifiers: list[str]
    parts: list[str]


def _split(folded: str) -> _Split:
    # A chunk is what stands between spaces, without its punctuation: `ps-lx350h` and `pslx350h` are one.
    split = _Split([], [], [], [])
    for chunk in folded.split():
        piece = _split_chunk(chunk)
        split.words.extend(piece.words)
        split.chunks.extend(piece.chunks)
        split.identifiers.extend(piece.identifiers)
        split.parts.extend(piece.parts)
    return split


# Most of a catalogue's words come again and again.
@lru_cache(maxsize=1 << 15)
def _split_chunk(chunk: str) -> _Split:
    split = _Split([], [], [], [])
    if not chunk.isascii():
        for run in _UNSPACED.findall(chunk):
            split.words.extend([run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)])
        chunk = _UNSPACED.sub(" ", chunk)
    for piece in chunk.split():
        _take(_EDGES.sub("", piece), split)
    return split


def _take(piece: str, split: _Split) -> None:
    parts = [part for part in _INNER.split(piece) if part]
    whole = "".join(parts)
    if _QUANTITY.search(piece):
        split.words.extend(parts)
        split.chunks.extend(parts)
    elif is_identifier(whole):
        split.words.extend(part for part in parts if not is_identifier(part))
        split.chunks.append(whole)
        split.identifiers.append(whole)
        split.parts.extend(part for part in parts if len(parts) > 1 and len(part) > 4 and is_identifier(part))
    elif parts:
        split.words.extend(parts)
        split.chunks.extend(parts if len(parts) > 3 else [whole])


def tokenise(part: PartText) -> Tokens:
    """The tokens of one row; a row without a name is known by the beginning of its description."""
    name, description = fold(part.name), fold(part.description)
    if not name:
        name, description = description[:_DESCRIPTION_AS_NAME], ""
    measures, rest = find_measures(name)
    split, detail = _split(rest), _split(find_measures(description)[1])
    chunks = split.chunks
    joined = {first + second for first, second in pairwise(chunks)}
    joined |= {"".join(three) for three in zip(chunks, chunks[1:], chunks[2:], strict=False)}
    words = frozenset(split.words)
    identifiers = tuple(dict.fromkeys(split.identifiers))
    return Tokens(
        name=name,
        words=words,
        identifiers=identifiers,
        parts=frozenset(split.parts),
        compounds=frozenset(c for c in joined | set(chunks) if 4 <= len(c) <= _LONGEST) - words - set(identifiers),
        details=frozenset(detail.words),
        detail_identifiers=frozenset(detail.identifiers),
        measures=measures,
        maker=" ".join(_split(fold(part.manufacturer)).words),
    )
