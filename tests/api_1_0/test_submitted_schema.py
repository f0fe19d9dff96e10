"""The answer to a submission, which is put together, says what its schema says."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, g
from marshmallow import Schema

from app.api_1_0.schemas import Submission, SubmittedSchema
from libs.flask_celery import JobState


@pytest.mark.parametrize("zone", [None, ZoneInfo("Asia/Shanghai")])
@pytest.mark.parametrize("task_id", ["254de575-4bc0-4740-84bc-fcd65f77e37e", "an id/of somebody's?"])
def test_a_submission_is_answered_as_its_schema_has_it(app: Flask, task_id: str, zone: ZoneInfo | None) -> None:
    submission = Submission(
        task_id, "maintenance.adds", JobState.RETRY, datetime(2026, 11, 27, 1, 2, 3, 456789, UTC), "tgj_token"
    )
    schema = SubmittedSchema()
    with app.app_context():
        g.zone = zone
        assert schema.dump(submission) == Schema.dump(schema, submission)
        assert SubmittedSchema(many=True).dump([submission]) == [schema.dump(submission)]
