"""Finding an application's job packages."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType


def import_jobs(package: ModuleType) -> list[str]:
    """Import ``tasks`` (and ``models``, when there is one) of every package below ``package``.

    Returns: the names of the job packages, sorted. An import error is the author's to see, so it is raised.
    """
    found = []
    for folder in _packages_in(package):
        job_package = importlib.import_module(f"{package.__name__}.{folder}")
        inside = {entry.name for entry in pkgutil.iter_modules(job_package.__path__)}
        for name in ("models", "tasks"):
            if name in inside:
                importlib.import_module(f"{job_package.__name__}.{name}")
        found.append(job_package.__name__)
    return found


def _packages_in(package: ModuleType) -> list[str]:
    """A folder with ``tasks.py`` is one without ``__init__.py`` too, as for Python itself; pkgutil passes over it."""
    names = {entry.name for entry in pkgutil.iter_modules(package.__path__) if entry.ispkg}
    for path in package.__path__:
        names.update(tasks.parent.name for tasks in Path(path).glob("*/tasks.py"))
    return sorted(name for name in names if name.isidentifier())
