"""One job's work on all cores of its host, by forks of the process that it runs in."""

from .ahead import ahead
from .fork import usable_processes
from .sharing import MOST_PIECES, shared

__all__ = ["MOST_PIECES", "ahead", "shared", "usable_processes"]
