"""Log lines that machines read (JSON) and people too, without the secrets of this product."""

from libs.structured_logs.events import log_event
from libs.structured_logs.formatting import log_formatter
from libs.structured_logs.secrets import hide_secrets
from libs.structured_logs.traces import trace_of

__all__ = ["hide_secrets", "log_event", "log_formatter", "trace_of"]
