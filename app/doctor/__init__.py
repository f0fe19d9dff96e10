"""What ``manage.py doctor`` looks at: each check is a function of the application that tells what it has found."""

from app.doctor.examining import examine, settings_problem
from app.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "examine", "settings_problem"]
