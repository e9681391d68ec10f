"""Cloud and cluster metrics by PromQL from any Prometheus-compatible server. Collects only.

Needs the extra ``coldaisle[prometheus]``; the client is imported at the first query, never before.
"""

from coldaisle.integrations.promql.collect import PromqlCollector
from coldaisle.integrations.promql.config import PromqlConfig, PromqlQuery

__all__ = ["PromqlCollector", "PromqlConfig", "PromqlQuery"]
