"""What the site reads from its environment, and what it takes for granted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import embedded_redis_socket
from examples.django_site.tests.running_site import SITE_DIR
from tests.conftest import ROOT


def setting(folder: Path, *names: str, **environment: str) -> list[str]:
    code = f"import json; from django_site import settings as s; print(json.dumps([getattr(s, n) for n in {names}]))"
    variables = {"PATH": os.environ["PATH"], "SITE_DATA_DIR": str(folder), **environment}
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, env=variables, cwd=SITE_DIR, capture_output=True, check=True).stdout)


def test_without_an_address_it_finds_the_redis_of_make_run(tmp_path: Path) -> None:
    socket = embedded_redis_socket(ROOT / "var")
    if socket.parent != ROOT / "var" / "redis":
        pytest.skip("this checkout's path is too long for a socket, so that make run takes another one")

    assert setting(tmp_path, "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND") == [
        f"redis+socket://{socket}?virtual_host=2",
        f"redis+socket://{socket}?virtual_host=1",
    ]


@pytest.mark.parametrize("given", ["redis://redis.example:6379", "redis://redis.example:6379/"])
def test_a_server_is_named_in_the_environment(tmp_path: Path, given: str) -> None:
    found = setting(tmp_path, "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", REDIS_URL=given)

    assert found == ["redis://redis.example:6379/2", "redis://redis.example:6379/1"]


def test_a_secret_that_is_not_given_is_made(tmp_path: Path) -> None:
    [first], [second] = setting(tmp_path, "SECRET_KEY"), setting(tmp_path, "SECRET_KEY")

    assert len(first) >= 50
    assert first != second
    assert setting(tmp_path, "SECRET_KEY", SECRET_KEY="given") == ["given"]


def test_debug_is_asked_for_and_hosts_are_this_one(tmp_path: Path) -> None:
    assert setting(tmp_path, "DEBUG", "ALLOWED_HOSTS") == [False, ["127.0.0.1", "localhost", "[::1]"]]
    assert setting(tmp_path, "DEBUG", DEBUG="1") == [True]
