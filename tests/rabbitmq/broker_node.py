"""A RabbitMQ node of this test process alone: its data, names and loopback ports, nothing of it left after."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import amqp

from tests.conftest import wait_until

#: Where Debian keeps the server's own script. ``/usr/sbin/rabbitmq-server`` is a wrapper that changes the user and
#: drops the environment.
_DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def find_rabbitmq_server() -> Path | None:
    """The server's script, when it and Erlang's port mapper are installed."""
    if _DEBIAN.exists() and shutil.which("epmd"):
        return _DEBIAN
    return None


def _state(stat: Path) -> str:
    """A thread's state, a letter (proc(5)); the name before it may hold anything."""
    return stat.read_text().rpartition(")")[2].split()[0]


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class RabbitNode:
    """Tests may stop it, kill it, freeze it and start it again; its data stays."""

    def __init__(self, script: Path, **settings: int) -> None:
        """``settings`` are RabbitMQ's own, by the names of its application environment."""
        self.folder = Path(mkdtemp(prefix="taskgate-rabbitmq-"))
        self.port, distribution_port, epmd_port = _free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._script = script
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        (self.folder / "enabled_plugins").write_text("[].\n")
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),  # Erlang's cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "RABBITMQ_NODENAME": f"taskgate-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
                [
                    "-kernel inet_dist_use_interface {127,0,0,1}",
                    *(f"-rabbit {name} {value}" for name, value in settings.items()),
                ]
            ),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            # Has the script become Erlang itself instead of its parent, so that a signal reaches it.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
        }

    def start(self) -> None:
        with (self.folder / "rabbitmq.log").open("ab") as log:
            if self._epmd is None:  # else the node would start one that outlives it
                self._epmd = subprocess.Popen(["epmd"], env=self._environment, stdout=log, stderr=log)
            self.process = subprocess.Popen(
                [self._script],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers_or_dead, timeout=90, what="RabbitMQ")

    def _answers_or_dead(self) -> bool:
        assert self.process is not None
        log = self.folder / "rabbitmq.log"
        assert self.process.poll() is None, f"RabbitMQ ended:\n{log.read_text(errors='replace')[-4000:]}"
        return self.answers()

    def answers(self) -> bool:
        """Whether it serves AMQP: it listens only when all else of it is up."""
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5):
                return True
        except OSError:
            return False

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(60)
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task")
        self.process.send_signal(signal.SIGSTOP)
        # Until the last of its threads has stopped, it may still confirm a message.
        wait_until(lambda: set(map(_state, tasks.glob("*/stat"))) == {"T"}, what="all threads to stop")

    def bring_back(self) -> None:
        """Whatever was done to it."""
        if self.process is None:
            self.start()
        else:
            self.process.send_signal(signal.SIGCONT)
            wait_until(self.answers, timeout=60, what="RabbitMQ")

    def remove(self) -> None:
        """Stop all of it and drop its data."""
        self.stop(kill=True)
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait(20)
        shutil.rmtree(self.folder)

    def drop_queue(self, name: str) -> None:
        with amqp.Connection(f"127.0.0.1:{self.port}") as connection:
            connection.channel().queue_delete(name)

    def empty_queue(self, name: str) -> None:
        """Publishers that have declared it need not do so again, as they would if it were dropped."""
        with amqp.Connection(f"127.0.0.1:{self.port}") as connection:
            channel = connection.channel()
            channel.queue_declare(name, durable=True, auto_delete=False)
            channel.queue_purge(name)

    def waiting(self, name: str = "default") -> int:
        """Messages of the queue that are with no worker."""
        with amqp.Connection(f"127.0.0.1:{self.port}") as connection:
            return connection.channel().queue_declare(name, passive=True).message_count

    def push(self, body: bytes, **properties: str) -> None:
        """Queue what Celery would not."""
        with amqp.Connection(f"127.0.0.1:{self.port}") as connection:
            connection.channel().basic_publish(amqp.Message(body, **properties), routing_key="default")
