"""From the settings to an application's files."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from flask import Flask

from app.files.job_files import JobFiles
from app.files.local import LocalStorage
from app.files.storage import Storage
from app.files.sweep import FileSweep
from app.files.uploads import UploadRules, Uploads
from config import Config, ConfigError


def init_app(app: Flask, config: Config) -> None:
    """Give ``app`` its uploads, its jobs' files and the sweep of both. Raises: ConfigError."""
    storage = _storage(config)
    rules = UploadRules(
        max_size=config.max_upload,
        quota=config.upload_quota,
        types=config.upload_types,
        expires=config.upload_expires,
    )
    work_dir = _work_dir(config)
    uploads = Uploads(storage, rules)
    job_files = JobFiles(storage, uploads, work_dir)
    app.extensions["file_storage"] = storage
    app.extensions["uploads"] = uploads
    app.extensions["job_files"] = job_files
    app.extensions["job_file_sweep"] = FileSweep(
        storage, uploads, interval=config.file_sweep_interval, work_dir=work_dir
    )


def _storage(config: Config) -> Storage:
    folder = _local_folder(config)
    if folder is not None:
        return LocalStorage(folder)
    parts = urlsplit(config.files_url)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError("FILES_URL wants file:///a/directory or s3://bucket/prefix, without credentials in it.")
    try:
        from app.files.s3 import S3Storage  # noqa: PLC0415 - boto3 need not be installed
    except ImportError as error:
        raise ConfigError(
            "FILES_URL names S3, which wants boto3, and that is not installed: pip install -r requirements-s3.txt."
        ) from error
    prefix = "/".join(part for part in (parts.path.strip("/"), _own_folder(config)) if part)
    return S3Storage(
        parts.netloc,
        prefix,
        endpoint=config.files_endpoint or None,
        work_dir=_work_dir(config),
        largest=config.max_upload,
    )


def _local_folder(config: Config) -> Path | None:
    parts = urlsplit(config.files_url)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigError("FILES_URL wants file:///a/directory, with three slashes, or s3://bucket/prefix.")
    return Path(unquote(parts.path)) / _own_folder(config)


def _work_dir(config: Config) -> Path:
    """On the disk where the files will stay, so that they need not be copied, or at least on a large one."""
    folder = _local_folder(config)
    return (config.data_dir / "files" if folder is None else folder) / ".work"


def _own_folder(config: Config) -> str:
    """Deployments that are given the same place do not sweep each other's files."""
    return f"@{config.deployment}" if config.deployment else ""
