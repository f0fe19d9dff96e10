"""The encoding of a CSV: UTF-8, or UTF-16 that begins with a byte order mark."""

import codecs
from typing import BinaryIO

from .errors import CatalogueError

_CHUNK = 1 << 16


def tell_encoding(binary: BinaryIO) -> str:
    """The codec for an open file, which is left at its beginning."""
    start = binary.read(2)
    binary.seek(0)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def undecodable(binary: BinaryIO, encoding: str) -> CatalogueError:
    """The error that tells where the text stops being text.

    The file is read again, because the decoder of a text stream knows only the offset within its own chunk.
    """
    label = "UTF-16" if encoding == "utf-16" else "UTF-8"
    # utf-8-sig counts its offsets from behind the mark; utf-8 takes the mark for a character and counts
    # from 0.
    decoder = codecs.getincrementaldecoder("utf-16" if encoding == "utf-16" else "utf-8")()
    offset, line = 0, 1
    binary.seek(0)
    while chunk := binary.read(_CHUNK):
        pending = len(decoder.getstate()[0])
        try:
            line += decoder.decode(chunk).count("\n")
        except UnicodeDecodeError as error:
            offset += error.start - pending
            line += error.object[: error.start].decode(encoding, "ignore").count("\n")
            return _error(f"The byte at offset {offset} (line {line}) is not {label} text")
        offset += len(chunk)
    return _error(f"The last character of the file (line {line}) is cut off; it is not {label} text")


def _error(finding: str) -> CatalogueError:
    return CatalogueError(f"{finding}; save the file as CSV in UTF-8 and send it again.")
