"""A REST API on Flask-RESTful and marshmallow, with Celery, as the documentation of the four has it."""

import os

from celery import Celery
from celery.result import AsyncResult
from flask import Flask, request
from flask_restful import Api, Resource
from marshmallow import Schema, ValidationError, fields

ADDRESS = os.environ["REDIS_SOCKET"]

flask_app = Flask(__name__)
api = Api(flask_app)
celery_app = Celery(
    "template",
    broker=f"redis+socket://{ADDRESS}?virtual_host=0",
    backend=f"redis+socket://{ADDRESS}?virtual_host=1",
)


class AddSchema(Schema):
    a = fields.Integer(required=True)
    b = fields.Integer(required=True)


class ResultSchema(Schema):
    task_id = fields.String()
    state = fields.String()
    ready = fields.Boolean()
    result = fields.Raw()


@celery_app.task(name="template.adds")
def adds(a: int, b: int) -> int:
    return a + b


class Jobs(Resource):
    def post(self) -> tuple[dict[str, object], int]:
        try:
            params = AddSchema().load(request.get_json())
        except ValidationError as error:
            return {"errors": error.messages}, 422
        return {"task_id": adds.delay(**params).id}, 202


class Result(Resource):
    def get(self, task_id: str) -> object:
        found = AsyncResult(task_id, app=celery_app)
        ready = found.ready()
        told = {"task_id": task_id, "state": found.state, "ready": ready, "result": found.result if ready else None}
        return ResultSchema().dump(told)


api.add_resource(Jobs, "/jobs")
api.add_resource(Result, "/results/<string:task_id>")
