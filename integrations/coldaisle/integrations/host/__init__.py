"""This machine, from ``/proc`` and ``/sys``: CPU, memory, disks, network and temperatures. Collects only."""

from coldaisle.integrations.host.collect import HostCollector
from coldaisle.integrations.host.config import HostConfig

__all__ = ["HostCollector", "HostConfig"]
