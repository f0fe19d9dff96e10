"""Writing the files of a new job, all of them or none."""

from pathlib import Path
from tempfile import TemporaryDirectory

from app.new_job.new_job import NewJob, NewJobError
from app.new_job.templates import package_files, test_file


def write_job(root: Path, job: NewJob) -> tuple[Path, Path]:
    """Write its package and its test into the repository at ``root``.

    Returns: both, relative to ``root``. What is there already is never written over.
    Raises: NewJobError; then nothing has been written.
    """
    package = Path("app", "jobs", job.package)
    test = Path("tests", "jobs", job.package, f"test_{job.verb}.py")
    for path in (package, package.with_suffix(".py"), test):
        if (root / path).exists():
            raise NewJobError(
                f"{path} is there already, and stays as it is. Take another name, or add the job to it."
            )
    try:
        _write(root / package, package_files(job), root / test, test_file(job))
    except OSError as error:
        raise NewJobError(f"Nothing was written: {error}.") from error
    return package, test


def _write(package: Path, modules: dict[str, str], test: Path, test_text: str) -> None:
    """The package appears with all of its modules at once, by a rename; before that discovery passes over it."""
    with TemporaryDirectory(prefix=".new-job-", dir=package.parent) as folder:
        made = Path(folder, package.name)
        made.mkdir()
        for name, text in modules.items():
            (made / name).write_text(text, encoding="utf-8")
        is_new_folder = not test.parent.exists()
        test.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_both(made, package, test, test_text)
        except BaseException:
            if is_new_folder:
                test.parent.rmdir()
            raise


def _write_both(made: Path, package: Path, test: Path, test_text: str) -> None:
    with test.open("x", encoding="utf-8") as file:
        try:
            file.write(test_text)
            file.flush()
            made.rename(package)
        except BaseException:
            test.unlink()
            raise
