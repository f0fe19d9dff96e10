"""A process with gevent's sockets, as gunicorn's workers are, that publishes twice: before and after it hears a word.

The second queue has to be declared first. Prints what the second publish has raised and how many seconds it took.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 - gevent wants to be first
import time  # noqa: E402

from app import create_app  # noqa: E402

if __name__ == "__main__":
    app = create_app()
    adds = app.extensions["celery"].tasks["maintenance.adds"]
    with app.app_context():
        adds.apply_async((1, 2))
        print("connected", flush=True)
        sys.stdin.readline()
        started = time.perf_counter()
        try:
            adds.apply_async((1, 2), queue="not declared yet")
        except Exception as error:
            print(type(error).__name__, time.perf_counter() - started, flush=True)
