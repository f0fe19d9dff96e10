"""What a reader has: a copy of the repository, an environment in it, a terminal for each page, a running service."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.conftest import ROOT, wait_until

#: A curl that says by its exit code that the answer was an error. The manual's lines are for people, who see that.
_CURL = '#!/bin/sh\nexec {curl} --fail-with-body "$@"\n'


class Terminal:
    """One bash, in which the blocks of a page are run one after the other and see each other's variables."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._script = folder.parent / "block.sh"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._say('set -E -o pipefail; trap \'printf "\\035%s\\n" "$?"\' ERR')

    def _say(self, line: str) -> None:
        assert self._bash.stdin
        self._bash.stdin.write(line + "\n")
        self._bash.stdin.flush()

    def run(self, text: str) -> tuple[str, set[int]]:
        """Everything that the block has printed, and the exit codes of its commands that failed."""
        self._script.write_text(text)
        self._say(f"source {self._script} </dev/null; printf '\\n\\036\\n'")
        said: list[str] = []
        failed: set[int] = set()
        assert self._bash.stdout
        for line in self._bash.stdout:
            if line == "\036\n":
                return "".join(said), failed
            before, mark, code = line.partition("\035")
            said.append(before)
            if mark:
                failed.add(int(code))
        raise AssertionError(f"the terminal was closed by the block:\n{''.join(said)}")

    def close(self) -> None:
        self._bash.terminate()
        self._bash.wait(10)
        for stream in (self._bash.stdin, self._bash.stdout):
            if stream:
                stream.close()


class ReadersCopy:
    """Files as in this checkout, data of its own, and a port of its own in place of 8000."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "taskgate"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.ours = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
        for name in self.ours:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.folder / name)
        self.answers: dict[str, list[str]] = {}  # what the commands of each page have printed
        self._lend_environment()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        programs = folder / "bin"
        programs.mkdir()
        (programs / "curl").write_text(_CURL.format(curl=shutil.which("curl")))
        (programs / "curl").chmod(0o755)
        ours = ("REDIS_URL", "DATABASE_URL", "DATA_DIR", "PYTHONPATH", "VIRTUAL_ENV")
        kept = {n: v for n, v in os.environ.items() if n not in ours and not n.startswith(("CELERY", "PYTEST"))}
        self.environment = kept | {"PATH": f"{programs}:{os.environ['PATH']}", "PORT": str(self.port)}
        self._up: subprocess.Popen[bytes] | None = None
        self._terminals: dict[str, Terminal] = {}

    def _lend_environment(self) -> None:
        """What is installed for this test, where ``make`` would have installed it."""
        own, lent = self.folder / ".venv", Path(sys.prefix)
        own.mkdir()
        shutil.copy(lent / "pyvenv.cfg", own)
        for name in ("bin", "lib"):
            (own / name).symlink_to(lent / name)
        for stamp in (".runtime", ".dev"):
            (own / stamp).touch()

    def here(self, text: str) -> str:
        """The block, with this installation's port."""
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")

    @property
    def key(self) -> str:
        return (self.folder / "var" / "dev.key").read_text().strip()

    @property
    def said(self) -> str:
        return (self.folder.parent / "up.log").read_text(errors="replace")

    def make_run(self) -> None:
        """Ctrl-C if it runs, and ``make run`` once more."""
        self.stop()
        with (self.folder.parent / "up.log").open("wb") as log:
            self._up = subprocess.Popen(
                ["make", "run"], cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        up = self._up
        wait_until(lambda: "Taskgate is up" in self.said or up.poll() is not None, timeout=240, what="make run")
        assert up.poll() is None, self.said

    def stop(self) -> None:
        if self._up is not None and self._up.poll() is None:
            os.killpg(self._up.pid, signal.SIGINT)  # as a terminal does
            self._up.wait(90)

    def terminal(self, page: str) -> Terminal:
        if page not in self._terminals:
            self._terminals[page] = Terminal(self.folder, self.environment)
        return self._terminals[page]

    def python(self, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / ".venv" / "bin" / "python", "-W", "error", "-c", self.here(program)],
            cwd=self.folder,
            env=self.environment | {"PYTHONPATH": f"{self.folder}:{self.folder / 'libs'}"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def __enter__(self) -> ReadersCopy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for terminal in self._terminals.values():
            terminal.close()
        self.stop()
