"""What the maintenance jobs do, as plain Python: no Flask, no Celery."""
