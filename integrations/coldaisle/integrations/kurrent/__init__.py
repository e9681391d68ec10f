"""A KurrentDB or EventStoreDB cluster as the event store.

Needs the extra ``coldaisle[kurrent]``; the client is imported when a store is opened, never before.
"""

from coldaisle.integrations.kurrent.config import KurrentConfig
from coldaisle.integrations.kurrent.groups import GroupConsumer, GroupOptions, Park, Retry
from coldaisle.integrations.kurrent.store import KurrentStore

__all__ = ["GroupConsumer", "GroupOptions", "KurrentConfig", "KurrentStore", "Park", "Retry"]
