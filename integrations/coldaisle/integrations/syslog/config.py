"""Settings of the syslog receiver."""

from typing import Annotated

from msgspec import Meta, Struct


class SyslogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``[syslog]``: addresses to listen on as ``host:port``; an empty one is not opened.

    Secrets and e-mail addresses are always masked; IP addresses and what matches ``mask_patterns`` (RE2) on
    request.
    """

    udp: str = ""
    tcp: str = ""
    max_frame_bytes: Annotated[int, Meta(ge=480, le=262_144)] = 8192
    group_seconds: Annotated[float, Meta(gt=0, le=10)] = 0.2
    group_lines: Annotated[int, Meta(ge=1, le=10_000)] = 500
    max_pending_lines: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    max_connections: Annotated[int, Meta(ge=1, le=10_000)] = 256
    receive_buffer_bytes: Annotated[int, Meta(ge=4096)] = 4_194_304
    mask_addresses: bool = False
    mask_patterns: tuple[str, ...] = ()
