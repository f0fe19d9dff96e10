"""A real Redis for tests."""

import shutil
import socket
import subprocess
from pathlib import Path
from tempfile import mkdtemp

from kombu import Connection, pools
from redis import Redis

from libs.flask_celery.testing.waiting import wait_until
from libs.local_stack import find_redis_server


class RedisServer:
    """A real Redis of this test process, on a port of its own, that tests may stop, freeze and start again."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="taskgate-redis-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.socket_url = f"redis+socket://{self.folder}/redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """And wait until it answers."""
        # Redis hands each write to the system before it answers, so a test that kills it counts on what was answered.
        # Syncing is for power cuts, which no test has, and a disk that many tests share holds it up for seconds.
        files = {"dir": self.folder, "appendonly": "yes", "appendfsync": "no", "save": ""}
        options = {"port": self.port, "bind": "127.0.0.1", "unixsocket": self.folder / "redis.sock", **files}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([str(find_redis_server()), *words], stdout=log, stderr=log)
        wait_until(self.answers, what="Redis")

    def answers(self) -> bool:
        """Whether it does, now."""
        try:
            with Redis.from_url(self.url) as client:
                return bool(client.ping())
        except OSError:
            return False
        except Exception as error:
            if type(error).__module__.startswith("redis."):
                return False
            raise

    def stop(self, *, kill: bool = False) -> None:
        """And keep its data, for the next start."""
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(20)
            self.process = None

    def remove(self) -> None:
        """Stop it for good, with its data."""
        self.stop(kill=True)
        shutil.rmtree(self.folder)


def close_idle_connections() -> None:
    """Of kombu's pools, which outlive a test: an earlier one may have killed their server, or had it cut them."""
    for pool in list(pools.connections.values()):
        for connection in [each for each in pool._resource.queue if isinstance(each, Connection)]:
            connection.collect()  # it connects anew when it is used
