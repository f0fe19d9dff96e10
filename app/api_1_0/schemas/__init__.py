"""What the API answers, as marshmallow schemas. They dump, and they are the OpenAPI document's components."""

from app.api_1_0.schemas.files import UploadedFileSchema
from app.api_1_0.schemas.jobs import (
    AdminResultSchema,
    FailureSchema,
    JobPageSchema,
    MissingResultSchema,
    ProgressSchema,
    ResultListSchema,
    ResultSchema,
    Submission,
    SubmittedSchema,
)
from app.api_1_0.schemas.problems import ProblemSchema
from app.api_1_0.schemas.tasks import TaskListSchema, TaskSchema
from app.api_1_0.schemas.times import UtcDateTime

__all__ = [
    "AdminResultSchema",
    "FailureSchema",
    "UploadedFileSchema",
    "JobPageSchema",
    "MissingResultSchema",
    "ProblemSchema",
    "ProgressSchema",
    "ResultListSchema",
    "ResultSchema",
    "Submission",
    "SubmittedSchema",
    "TaskListSchema",
    "TaskSchema",
    "UtcDateTime",
]
