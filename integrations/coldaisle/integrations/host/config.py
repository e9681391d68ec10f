"""Settings of the host collector."""

from typing import Annotated

from msgspec import Meta, Struct


class HostConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``[host]``: whether the machine that the agent runs on is observed, and how often."""

    enabled: bool = True
    poll_seconds: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0
