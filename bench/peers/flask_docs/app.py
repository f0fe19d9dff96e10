"""Flask and Celery as Flask's documentation puts them together (Patterns, "Background Tasks with Celery")."""

import os

from celery import Celery, Task, shared_task
from celery.result import AsyncResult
from flask import Flask, request


def celery_init_app(app: Flask) -> Celery:
    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app


def create_app() -> Flask:
    app = Flask(__name__)
    address = os.environ["REDIS_SOCKET"]
    app.config.from_mapping(
        CELERY={
            "broker_url": f"redis+socket://{address}?virtual_host=0",
            "result_backend": f"redis+socket://{address}?virtual_host=1",
            "task_ignore_result": True,
        }
    )
    celery_init_app(app)
    app.post("/add")(start_add)
    app.get("/result/<id>")(task_result)
    return app


@shared_task(ignore_result=False)
def adds(a: int, b: int) -> int:
    return a + b


def start_add() -> dict[str, object]:
    a = request.form.get("a", type=int)
    b = request.form.get("b", type=int)
    result = adds.delay(a, b)
    return {"result_id": result.id}


def task_result(id: str) -> dict[str, object]:  # noqa: A002 - as the documentation has it
    result = AsyncResult(id)
    return {
        "ready": result.ready(),
        "successful": result.successful(),
        "value": result.result if result.ready() else None,
    }


flask_app = create_app()
celery_app = flask_app.extensions["celery"]
