"""Reading an object of S3 from where it is wanted."""

import io
import logging
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from app.files.errors import StorageUnavailableError

logger = logging.getLogger(__name__)

#: Requests in a row that may break off without having brought anything.
_ATTEMPTS = 3


class ObjectReader(io.RawIOBase):
    """A file of known size, none of it in memory.

    An object never changes, so a connection that breaks off, as it may when the reader is slow, is made anew from
    there.
    """

    def __init__(self, open_at: Callable[[int], Any], size: int) -> None:
        self._open_at, self._size = open_at, size
        self._position = 0
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._leave()
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Raises: StorageUnavailableError."""
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        data = self._fetch(wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._leave()
        super().close()

    def _fetch(self, wanted: int) -> bytes:
        for _ in range(_ATTEMPTS):
            if self._body is None:
                self._body = self._open_at(self._position)
            try:
                data: bytes = self._body.read(wanted)
            except (BotoCoreError, HTTPError, OSError) as error:
                logger.info("A download from S3 is taken up again at byte %s: %r", self._position, error)
                self._leave()
            else:
                if data:
                    return data
                self._leave()  # shorter than it was to be
        raise StorageUnavailableError("S3 broke the download off again and again.")

    def _leave(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
