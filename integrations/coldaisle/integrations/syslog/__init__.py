"""Syslog, RFC 5424 and RFC 3164, over UDP and TCP (octet-counted or one line each). Collects only.

Plain TCP syslog has no acknowledgement: what a sender had in flight when its connection broke is lost,
and nobody can say how much that was.
"""

from coldaisle.integrations.syslog.collect import SyslogCollector
from coldaisle.integrations.syslog.config import SyslogConfig

__all__ = ["SyslogCollector", "SyslogConfig"]
