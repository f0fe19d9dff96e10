"""``MONITOR_TARGETS``."""

from app.jobs.monitoring.services.targets import Target, TargetError, read_targets
from config import Config, ConfigError


def monitor_targets(config: Config) -> dict[str, Target]:
    """What is probed, by name. Raises: ConfigError."""
    try:
        return {target.name: target for target in read_targets(config.monitor_targets)}
    except TargetError as error:
        raise ConfigError(f"MONITOR_TARGETS {error}") from error
