"""Near-duplicates in a parts catalogue: the table matched against itself."""

from .matcher import DEFAULT_THRESHOLD, find_matches
from .records import Match, OnProgress, PartText

__all__ = ["DEFAULT_THRESHOLD", "Match", "OnProgress", "PartText", "find_matches"]
