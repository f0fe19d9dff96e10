"""What Flower's HTTP API submits."""

import os

from celery import Celery

ADDRESS = os.environ["REDIS_SOCKET"]

celery_app = Celery(
    "peer",
    broker=f"redis+socket://{ADDRESS}?virtual_host=0",
    backend=f"redis+socket://{ADDRESS}?virtual_host=1",
)


@celery_app.task(name="adds")
def adds(a: int, b: int) -> int:
    return a + b
