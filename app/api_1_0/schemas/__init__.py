"""What the API answers, as marshmallow schemas. They dump, and they are the OpenAPI document's components."""

from app.api_1_0.schemas.batches import (
    BatchPageSchema,
    BatchSchema,
    BatchWithJobsSchema,
    OutcomeSchema,
    SubmittedBatchSchema,
    ThenJobSchema,
)
from app.api_1_0.schemas.dead_letters import (
    DeadLetterChoiceSchema,
    DeadLetterPageSchema,
    DeadLetterSchema,
    DroppedListSchema,
    DroppedSchema,
    OutcomeProblemSchema,
    RetriedListSchema,
    RetriedSchema,
)
from app.api_1_0.schemas.events import LogLineSchema, LogPageSchema, ProgressEventSchema, StateEventSchema
from app.api_1_0.schemas.files import FilePageSchema, UploadedFileSchema
from app.api_1_0.schemas.jobs import (
    AdminResultSchema,
    EmptySchema,
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
from app.api_1_0.schemas.queues import EndedSchema, QueueListSchema, QueueSchema, WorkerListSchema, WorkerSchema
from app.api_1_0.schemas.schedules import (
    NewScheduleSchema,
    ScheduleChangeSchema,
    SchedulePageSchema,
    ScheduleSchema,
    Truth,
)
from app.api_1_0.schemas.tasks import LimitsSchema, TaskListSchema, TaskSchema
from app.api_1_0.schemas.times import JobDateTime, UtcDateTime
from app.api_1_0.schemas.webhooks import (
    WebhookAttemptSchema,
    WebhookDeliveryPageSchema,
    WebhookDeliverySchema,
    WebhookSecretSchema,
    WebhookTestSchema,
    WebhookUrl,
)

__all__ = [
    "AdminResultSchema",
    "BatchPageSchema",
    "BatchSchema",
    "BatchWithJobsSchema",
    "DeadLetterChoiceSchema",
    "DeadLetterPageSchema",
    "DeadLetterSchema",
    "DroppedListSchema",
    "DroppedSchema",
    "EmptySchema",
    "EndedSchema",
    "FailureSchema",
    "FilePageSchema",
    "JobDateTime",
    "JobPageSchema",
    "LimitsSchema",
    "LogLineSchema",
    "LogPageSchema",
    "MissingResultSchema",
    "NewScheduleSchema",
    "OutcomeProblemSchema",
    "OutcomeSchema",
    "ProblemSchema",
    "ProgressEventSchema",
    "ProgressSchema",
    "QueueListSchema",
    "QueueSchema",
    "ResultListSchema",
    "ResultSchema",
    "RetriedListSchema",
    "RetriedSchema",
    "ScheduleChangeSchema",
    "SchedulePageSchema",
    "ScheduleSchema",
    "StateEventSchema",
    "Submission",
    "SubmittedBatchSchema",
    "SubmittedSchema",
    "TaskListSchema",
    "TaskSchema",
    "ThenJobSchema",
    "Truth",
    "UploadedFileSchema",
    "UtcDateTime",
    "WebhookAttemptSchema",
    "WebhookDeliveryPageSchema",
    "WebhookDeliverySchema",
    "WebhookSecretSchema",
    "WebhookTestSchema",
    "WebhookUrl",
    "WorkerListSchema",
    "WorkerSchema",
]
