"""The user-based security model of version 3 (RFC 3414, RFC 3826, RFC 7860): keys, messages, engines.

``cryptography`` is imported when a privacy key is first used, never before.
"""

from coldaisle.integrations.snmp.usm.engine import LocalEngine, RemoteEngine, load_engine
from coldaisle.integrations.snmp.usm.user import User

__all__ = ["LocalEngine", "RemoteEngine", "User", "load_engine"]
