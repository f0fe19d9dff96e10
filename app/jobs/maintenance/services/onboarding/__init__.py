"""Onboarding: bringing an uploaded CSV or XLSX catalogue of parts into the SQL table."""

from .errors import CatalogueError
from .refresh import refresh_parts
from .report import RefreshReport, RejectedRow

__all__ = [
    # what it raises
    "CatalogueError",
    # what it answers
    "RefreshReport",
    "RejectedRow",
    # the service
    "refresh_parts",
]
