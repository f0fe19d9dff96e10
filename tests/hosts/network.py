"""Hosts on a network of their own: network namespaces, joined by a bridge in one more.

Nothing is added to the machine's own network: both ends of every cable, and the bridge, are inside namespaces.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

T = TypeVar("T")

_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_BRIDGE = "bridge"
_UPLINK = "eth0"


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its namespace, its address, and the bridge's end of its cable."""

    name: str
    namespace: str
    address: str
    switch: str
    port: str

    def command(self, words: Sequence[str]) -> list[str]:
        """The command line that runs ``words`` on this host, as one process."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def call(self, function: Callable[[], T]) -> T:
        """What ``function`` returns when its sockets are made on this host."""
        with ThreadPoolExecutor(1, initializer=_enter, initargs=(self.namespace,)) as executor:
            return executor.submit(function).result()

    def unplug(self) -> None:
        """Pull its cable: what is sent either way vanishes, and no connection is told."""
        _ip("-n", self.switch, "link", "set", self.port, "down")

    def plug_in(self) -> None:
        """Put the cable back."""
        _ip("-n", self.switch, "link", "set", self.port, "up")


def why_not() -> str | None:
    """Why namespaces cannot be made here; None when they can."""
    if shutil.which("ip") is None:
        return "the command ip (iproute2) is not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"taskgate-{uuid4().hex[:8]}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    try:
        cable = ["ip", "-n", probe, "link", "add", "name", "end1", "type", "veth", "peer", "name", "end2"]
        laid = subprocess.run(cable, capture_output=True, text=True, check=False)
        return f"no virtual cables can be made here: {laid.stderr.strip()}" if laid.returncode else None
    finally:
        _ip("netns", "del", probe)


@contextmanager
def a_network(*names: str) -> Iterator[dict[str, Host]]:
    """Hosts by name, each reaching the others; removed at the end with all that was made for them."""
    run = uuid4().hex[:8]
    switch = f"taskgate-{run}-switch"
    made: list[str] = []
    try:
        _add_namespace(switch, made)
        _ip("-n", switch, "link", "add", "name", _BRIDGE, "type", "bridge")
        _ip("-n", switch, "link", "set", _BRIDGE, "up")
        hosts = {}
        for number, name in enumerate(names, start=1):
            host = Host(name, f"taskgate-{run}-{name}", f"10.203.0.{number}", switch, f"port{number}")
            _add_namespace(host.namespace, made)
            cable = ["type", "veth", "peer", "name", _UPLINK, "netns", host.namespace]
            _ip("-n", switch, "link", "add", "name", host.port, *cable)
            _ip("-n", switch, "link", "set", host.port, "master", _BRIDGE, "up")
            _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", _UPLINK)
            _ip("-n", host.namespace, "link", "set", _UPLINK, "up")
            hosts[name] = host
        yield hosts
    finally:
        for namespace in reversed(made):
            _ip("netns", "del", namespace)


def _add_namespace(name: str, made: list[str]) -> None:
    _ip("netns", "add", name)
    made.append(name)
    _ip("-n", name, "link", "set", "lo", "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _enter(namespace: str) -> None:
    """Move the calling thread into a namespace; the process's other threads stay where they are."""
    with (_NAMESPACES / namespace).open() as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"namespace {namespace} cannot be entered")
