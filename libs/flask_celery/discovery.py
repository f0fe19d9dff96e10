"""Finding an application's job packages."""

import importlib
import pkgutil
from types import ModuleType


def import_jobs(package: ModuleType) -> list[str]:
    """Import ``tasks`` (and ``models``, when there is one) of every package below ``package``.

    Returns: the names of the job packages, sorted. An import error is the author's to see, so it is raised.
    """
    found = []
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda entry: entry.name):
        if not module.ispkg:
            continue
        job_package = importlib.import_module(f"{package.__name__}.{module.name}")
        inside = {entry.name for entry in pkgutil.iter_modules(job_package.__path__)}
        for name in ("models", "tasks"):
            if name in inside:
                importlib.import_module(f"{job_package.__name__}.{name}")
        found.append(job_package.__name__)
    return found
