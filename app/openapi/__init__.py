"""The OpenAPI 3.1 document of the HTTP API."""

from app.openapi.document import build_document

__all__ = ["build_document"]
