"""Files in S3, or in what speaks its protocol.

boto3, because it is synchronous from end to end: s3fs runs an asyncio loop in a thread, which gevent turns into a
greenlet of the same thread, and then refuses to work (``fsspec/asyn.py``, ``sync``).
"""

import io
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.files.errors import FilesError, MissingFileError, StorageUnavailableError
from app.files.s3_reader import ObjectReader
from app.files.storage import CHUNK, StoredFile, Writer, checked
from app.files.workspace import workspace

logger = logging.getLogger(__name__)

#: S3's own: the smallest part but the last one, how many parts an upload has, keys removed in one call.
SMALLEST_PART = 5 * 1024**2
MOST_PARTS = 10_000
_MOST_DELETED = 1_000

_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}


class S3Storage:
    """As :class:`app.files.storage.Storage`. Credentials and region come from the usual AWS environment.

    Args:
        endpoint: of a server other than Amazon's.
        work_dir: where local copies are made.
        largest: bytes of the largest file that is to fit.
    """

    def __init__(self, bucket: str, prefix: str, *, endpoint: str | None, work_dir: Path, largest: int) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint = endpoint
        self._work_dir = work_dir
        self._part_size = max(SMALLEST_PART, -(-largest // (MOST_PARTS - 1)))
        self._clients: dict[int, Any] = {}

    def writer(self, key: str) -> Writer:
        """A multipart upload once it is larger than a part; S3 makes it appear whole."""
        return _S3Writer(self, self._name(key), self._part_size)

    def put(self, key: str, source: Path) -> int:
        """Send it piece by piece."""
        size = 0
        with source.open("rb") as file, self.writer(key) as writer:
            while chunk := file.read(CHUNK):
                size += len(chunk)
                writer.write(chunk)
            writer.commit()
        return size

    def stat(self, key: str) -> StoredFile | None:
        """One request."""
        try:
            found = self.call("head_object", Key=self._name(key))
        except MissingFileError:
            return None
        return StoredFile(key, found["ContentLength"], found["LastModified"])

    def open(self, key: str) -> BinaryIO:
        """Asked for from where it is read, once it is."""
        name = self._name(key)
        size = self.call("head_object", Key=name)["ContentLength"]

        def open_at(start: int) -> Any:
            return self.call("get_object", Key=name, Range=f"bytes={start}-")["Body"]

        return cast("BinaryIO", ObjectReader(open_at, size))

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """Fetched to this host's disk, for as long as it is used."""
        with workspace(self._work_dir) as folder:
            copy = folder / "copy"
            with self.open(key) as source, copy.open("wb") as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
            yield copy

    def delete(self, keys: Sequence[str]) -> None:
        """A thousand a request."""
        for start in range(0, len(keys), _MOST_DELETED):
            objects = [{"Key": self._name(key)} for key in keys[start : start + _MOST_DELETED]]
            answer = self.call("delete_objects", Delete={"Objects": objects, "Quiet": True})
            if answer.get("Errors"):
                raise StorageUnavailableError(f"S3 did not delete {answer['Errors'][0].get('Key')}")
        for key in keys:
            self._abort_unfinished(self._name(key), begun_before=float("inf"))

    def list(self, folder: str) -> Iterator[StoredFile]:
        """A thousand a request, in the order of the names."""
        pages = self._pages("list_objects_v2", Prefix=f"{self._name(folder)}/")
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            key = entry["Key"].removeprefix(self._prefix)
            with suppress(ValueError):  # not one of ours
                yield StoredFile(checked(key), entry["Size"], entry["LastModified"])

    def sweep_partials(self, folder: str, older_than: float) -> None:
        """S3 does not tell whether a writer is alive, so age alone decides."""
        self._abort_unfinished(f"{self._name(folder)}/", begun_before=time.time() - older_than)

    def call(self, operation: str, **arguments: Any) -> Any:
        """One call on the bucket. Raises: MissingFileError, StorageUnavailableError."""
        with _as_storage_errors():
            return getattr(self._client(), operation)(Bucket=self._bucket, **arguments)

    def _pages(self, operation: str, **arguments: Any) -> Iterator[Any]:
        with _as_storage_errors():
            yield from self._client().get_paginator(operation).paginate(Bucket=self._bucket, **arguments)

    def _abort_unfinished(self, prefix: str, *, begun_before: float) -> None:
        for page in self._pages("list_multipart_uploads", Prefix=prefix):
            for upload in page.get("Uploads", ()):
                if upload["Initiated"].timestamp() < begun_before:
                    with suppress(MissingFileError):  # it has ended meanwhile
                        self.call("abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])

    def _client(self) -> Any:
        """One for each process: a connection made before a fork is of no use after it."""
        client = self._clients.get(os.getpid())
        if client is None:
            config = Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 3},
                max_pool_connections=100,
                # Servers other than Amazon's know the newer checksums only in part, and want the bucket in the path.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path" if self._endpoint else "auto"},
            )
            client = boto3.session.Session().client("s3", endpoint_url=self._endpoint, config=config)
            self._clients = {os.getpid(): client}
        return client

    def _name(self, key: str) -> str:
        return f"{self._prefix}{checked(key)}"


class _S3Writer(Writer):
    """Holds one part in memory."""

    def __init__(self, storage: S3Storage, name: str, part_size: int) -> None:
        self._storage, self._name, self._part_size = storage, name, part_size
        self._part = io.BytesIO()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        self._part.write(data)
        if self._part.tell() >= self._part_size:
            self._send_part()

    def commit(self) -> None:
        if self._upload_id is None:
            self._storage.call("put_object", Key=self._name, Body=self._part.getvalue())
            return
        if self._part.tell():
            self._send_part()
        parts = {"Parts": self._parts}
        self._storage.call(
            "complete_multipart_upload", Key=self._name, UploadId=self._upload_id, MultipartUpload=parts
        )
        self._upload_id = None

    def abort(self) -> None:
        if self._upload_id is not None:
            try:
                self._storage.call("abort_multipart_upload", Key=self._name, UploadId=self._upload_id)
            except FilesError as error:
                logger.warning("An unfinished upload stays in S3 until it is swept: %s", error)
            self._upload_id = None

    def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = self._storage.call("create_multipart_upload", Key=self._name)["UploadId"]
        self._part.seek(0)
        number = len(self._parts) + 1
        answer = self._storage.call(
            "upload_part", Key=self._name, UploadId=self._upload_id, PartNumber=number, Body=self._part
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._part = io.BytesIO()


@contextmanager
def _as_storage_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            raise MissingFileError(str(error)) from error
        raise StorageUnavailableError(str(error)) from error
    except BotoCoreError as error:
        raise StorageUnavailableError(str(error)) from error
