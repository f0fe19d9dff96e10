"""Measuring, keeping and reducing, without Flask and Celery."""
