"""Log templates: what kinds of line there are, and how many of each came in a minute."""

from coldaisle.core.templates.minutes import LOG_METRICS
from coldaisle.core.templates.reactor import TemplateReactor

__all__ = ["LOG_METRICS", "TemplateReactor"]
