"""What may import what, how large a module may grow, and what no module does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = sorted(
    path.relative_to(ROOT)
    for path in [
        *(ROOT / "app").rglob("*.py"),
        *(ROOT / "libs").rglob("*.py"),
        ROOT / "config.py",
        ROOT / "manage.py",
    ]
)
LONGEST = 250


#: Two packages in one place, ``libs.job_client`` here and ``job_client`` where it is installed alone: so it names
#: itself by relative imports, and reads its users' environment, who have no settings of ours.
CLIENT = Path("libs/job_client")


def imported(module: Path) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or (node.level, module.parent) == (1, CLIENT), f"{module} imports relatively"
            if node.level == 0:
                found.add((node.module or "").partition(".")[0])
    return found


def test_the_modules_are_found() -> None:
    assert len(MODULES) > 50


def test_the_import_contracts_hold() -> None:
    """Those of pyproject.toml: layers, the library's independence, services without frameworks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    outcome = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout
    assert f"Contracts: {len(contracts)} kept, 0 broken." in outcome.stdout


def test_the_settings_import_nothing_of_ours_but_what_reads_an_address() -> None:
    ours = {"app", "libs", "manage", "tests", "config"}
    text = (ROOT / "config.py").read_text()

    assert imported(Path("config.py")) & ours == {"libs"}
    assert re.findall(r"^ *(?:from|import) +libs\S*", text, re.MULTILINE) == ["from libs.redis_address"]
    assert not imported(Path("libs/redis_address.py")) & ours


def test_only_the_settings_read_the_environment() -> None:
    """STYLE 7. What starts processes hands its whole environment on, and reads none of it."""
    readers = {
        str(module)
        for module in MODULES
        for node in ast.walk(ast.parse((ROOT / module).read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.environb")
    }

    assert "config.py" in readers
    starters = {module for module in readers if module.startswith(("libs/local_stack/", "app/commands/stack.py"))}
    assert readers == {"config.py", str(CLIENT / "environment.py")} | starters


def test_the_client_stands_on_httpx_and_the_standard_library_alone() -> None:
    modules = [module for module in MODULES if module.parent == CLIENT]

    assert len(modules) > 20
    others = {name for module in modules for name in imported(module)} - sys.stdlib_module_names
    assert others == {"httpx"}
    readme = (ROOT / CLIENT / "README.md").read_text()
    named = set(re.findall(r"`(\w+)/?`", readme))
    assert {module.stem for module in modules} - {"__init__"} <= named


def test_only_the_workers_entry_point_knows_the_application() -> None:
    knowing = {str(module) for module in MODULES if module.parts[0] == "libs" and "app" in imported(module)}

    assert knowing == {"libs/flask_celery/worker.py"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_is_of_a_readable_size_documented_and_prints_nothing(module: Path) -> None:
    source = (ROOT / module).read_text()
    tree = ast.parse(source)

    assert source.count("\n") <= LONGEST
    if source.strip() and "migrations" not in module.parts:
        assert ast.get_docstring(tree), f"{module} says nothing of what it is"
    calls = [
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert {"print", "breakpoint", "eval", "exec"}.isdisjoint(calls)


def test_flask_restfuls_own_parsing_and_marshalling_are_not_used() -> None:
    """Flask-RESTful: reqparse answers 415 to a GET and fields dump wrongly."""
    for module in MODULES:
        for node in ast.walk(ast.parse((ROOT / module).read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flask_restful"):
                assert {alias.name for alias in node.names} <= {"Api", "Resource"}, module


def test_the_librarys_map_shows_every_module() -> None:
    library = ROOT / "libs" / "flask_celery"
    named = set(re.findall(r"`(\w+)/?`", (library / "README.md").read_text()))
    modules = {path.stem for path in library.glob("*.py")} | {
        path.parent.name for path in library.glob("*/__init__.py")
    }

    assert modules - {"__init__"} <= named
