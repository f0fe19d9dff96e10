"""How many requests a key, a job's token and an address may make. ``docs/operations.md`` says what for."""

from app.rate_limits.addresses import caller_of
from app.rate_limits.allowances import Allowances
from app.rate_limits.enforcement import RateLimits, init_app
from app.rate_limits.limits import LimitReachedError, RateLimit, Standing

__all__ = ["Allowances", "LimitReachedError", "RateLimit", "RateLimits", "Standing", "caller_of", "init_app"]
