"""Each module can be the first of ours that an interpreter imports."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import libs.flask_celery
from tests.conftest import ROOT

MODULES = ["app", "config", "manage", "libs.flask_celery"] + [
    module.name for module in pkgutil.walk_packages(libs.flask_celery.__path__, "libs.flask_celery.")
]

#: Forks a process for each module, after it has imported what is not ours once for all of them.
IMPORT_EACH_FIRST = """
import importlib, json, os, sys, traceback
import celery.worker.consumer, celery.worker.request, cronsim, flask_migrate, flask_restful, flask_sqlalchemy, httpx
import kombu.transport.redis, openpyxl, prometheus_client, redbeat.schedulers, redis, structlog, webargs.flaskparser

failed = []
for module in json.loads(sys.argv[1]):
    assert not any(name.partition(".")[0] in ("app", "config", "libs", "manage") for name in sys.modules)
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(module)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        failed.append(module)
print(json.dumps(failed))
"""


@pytest.mark.long
def test_each_module_can_be_imported_first(environment: dict[str, str]) -> None:
    command = [sys.executable, "-W", "error", "-c", IMPORT_EACH_FIRST, json.dumps(MODULES)]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [], done.stderr
    assert len(MODULES) > 20


def test_importing_the_library_builds_no_application(environment: dict[str, str]) -> None:
    code = "import sys, libs.flask_celery; sys.exit('app' in sys.modules or 'config' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
