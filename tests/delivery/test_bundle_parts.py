"""A bundle in the worker's main process, without a pool that does anything by itself."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError

from libs.flask_celery.bundles.bundle import LATER_LOOK, LOOK, Bundle
from libs.flask_celery.bundles.bundler import SHORTEST_LIMIT, Bundler
from libs.flask_celery.bundles.tokens import Tokens, take
from libs.flask_celery.permits import PERMITTED_UNTIL


class Loop:
    """Calls nothing before it is told to."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Any]] = []

    def call_later(self, delay: float, callback: Any) -> Any:
        self.later.append((delay, callback))
        return SimpleNamespace(cancel=lambda: None)

    def call_soon(self, callback: Any, *args: object) -> object:
        return callback(*args)

    def pass_time(self) -> float:
        delay, callback = self.later.pop(0)
        callback()
        return delay


class Call:
    """The pool's, of one bundle."""

    _job = 1
    _on_timeout_set = _on_timeout_cancel = staticmethod(lambda *_: None)

    def __init__(self, **callbacks: Any) -> None:
        self._cache = {1: self}
        self.callbacks = callbacks
        self.is_ready = False

    def ready(self) -> bool:
        return self.is_ready


class Pool:
    """Takes calls, or nothing any more."""

    _pool = SimpleNamespace(timeout=None, soft_timeout=None)

    def __init__(self, *, is_open: bool = True) -> None:
        self._is_open = is_open
        self.call: Call | None = None

    def apply_async(self, run: object, args: Any, **callbacks: Any) -> Call | None:
        self.call = Call(**callbacks) if self._is_open else None
        self.handle = args[0]
        return self.call


class Request:
    """One of a worker."""

    bundle: Bundle | None = None
    time_limits = None, None
    id = "a"
    connection_errors = ()

    def __init__(self, tag: str, done: list[str]) -> None:
        self.tag, self._done = tag, done
        self.task = SimpleNamespace(time_limit=None, soft_time_limit=None, backend=SimpleNamespace(records=self))
        self.message = SimpleNamespace(channel=None, delivery_tag=tag, reject_log_error=self._reject)

    def _reject(self, *_: object, requeue: bool) -> None:
        assert requeue
        self._done.append(f"back {self.tag}")

    def get_many(self, ids: list[str]) -> list[None]:
        return [None for _ in ids]

    def revoked(self) -> bool:
        return False

    def run(self) -> tuple[str]:
        return (self.tag,)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        self._done.append(f"accepted {self.tag}")

    def on_success(self, end: Any) -> None:
        self._done.append(f"success {self.tag}")


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def bundle(done: list[str], loop: Loop) -> Bundle:
    requests = [Request(tag, done) for tag in ("a", "b", "c")]
    return Bundle(requests, Tokens(), loop, lambda _: done.append("ended"))


def test_one_that_the_pool_does_not_take_goes_back_from_its_end(bundle: Bundle, done: list[str]) -> None:
    with pytest.raises(TaskRevokedError):
        bundle.execute_using_pool(Pool(is_open=False))

    assert done == ["back c", "back b", "back a", "ended"]
    bundle.break_up()
    assert done[4:] == []


def test_one_that_was_broken_up_before_it_was_handed_over_is_not(bundle: Bundle, done: list[str]) -> None:
    bundle.break_up()
    assert done == ["back c", "back b", "back a", "ended"]

    with pytest.raises(TaskRevokedError):
        bundle.execute_using_pool(Pool())
    assert done[4:] == []


@pytest.mark.parametrize("is_broken_before", [False, True])
def test_one_that_the_pool_forgets_about_ends(
    is_broken_before: bool, bundle: Bundle, loop: Loop, done: list[str]
) -> None:
    pool = Pool()
    bundle.execute_using_pool(pool)
    assert bundle.tags() == {"a", "b", "c"}
    assert pool.call
    if is_broken_before:
        bundle.break_up()
    pool.call._cache.clear()

    assert loop.pass_time() == LOOK
    assert done == ["back c", "back b", "back a", "ended"]
    assert bundle.tags() == set()


def test_so_does_one_that_is_forgotten_about_when_it_has_been_broken_up(
    bundle: Bundle, loop: Loop, done: list[str]
) -> None:
    pool = Pool()
    bundle.execute_using_pool(pool)
    bundle.break_up()
    assert loop.pass_time() == LOOK
    assert done == ["back c", "back b", "back a"]
    assert pool.call
    pool.call._cache.clear()

    assert loop.pass_time() == LATER_LOOK
    assert done[3:] == ["ended"]


PLAIN = {"acks_late": True, "transactional": False, "time_limit": None, "soft_time_limit": None}


@pytest.mark.parametrize(
    ("may", "task", "headers", "permitted_for"),
    [
        (True, {}, {}, 1.0),
        (True, {"time_limit": SHORTEST_LIMIT}, {"timelimit": [None, SHORTEST_LIMIT]}, 1.0),
        (False, {"time_limit": 9.0}, {}, 1.0),
        (False, {"soft_time_limit": 9.0}, {}, 1.0),
        (False, {}, {"timelimit": [9, None]}, 1.0),
        (False, {"acks_late": False}, {}, 1.0),
        (False, {"transactional": True}, {}, 1.0),
        (False, {}, {"redelivered": True}, 1.0),
        (False, {}, {"task": "another"}, 1.0),
        (False, {}, {}, -1.0),
    ],
)
def test_which_may_be_one_of_several(may: bool, task: Any, headers: Any, permitted_for: float) -> None:
    app = SimpleNamespace(tasks={"work": SimpleNamespace(**{**PLAIN, **task})})
    bundler = Bundler(SimpleNamespace(app=app, pool=Pool()), lambda _: None)
    properties = {PERMITTED_UNTIL: time.monotonic() + permitted_for, "delivery_info": {}}

    assert bundler.may_take({"headers": {"task": "work", **headers}, "properties": properties}) is may


def test_what_goes_on_is_left_alone_until_two_looks_see_the_same(bundle: Bundle, loop: Loop, done: list[str]) -> None:
    pool = Pool()
    bundle.execute_using_pool(pool)
    assert pool.call
    loop.pass_time()
    loop.pass_time()
    assert done == []  # no process has said that it has it

    pool.call.callbacks["accept_callback"](7, 0.0)
    assert take(pool.handle) == 0
    loop.pass_time()
    assert take(pool.handle) == 1
    loop.pass_time()
    assert done == []
    loop.pass_time()
    assert done == ["back c", "accepted b"]

    pool.call.callbacks["callback"]({0: (0, "1", 0.1), 1: (0, "2", 0.1)})
    assert done[2:] == ["accepted a", "success a", "success b", "ended"]
