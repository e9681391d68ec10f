"""A device to ask, and how it wants to be asked."""

from msgspec import Struct

from coldaisle.integrations.snmp.message import V1, V2C, V3
from coldaisle.integrations.snmp.usm.user import User

VERSIONS = {"1": V1, "2c": V2C, "3": V3}
"""The version field by the names that settings use."""


class Target(Struct, frozen=True):
    """A device to ask. ``retries`` are tries after the first, ``max_repetitions`` rows per GETBULK.

    ``user`` is needed for version 3, where the community is not. The four switches are for devices with
    habits: a socket of its own; answers that come from another address (which needs such a socket);
    GETBULK answered wrongly or not at all; walks that do not go forward, up to the row cap.
    """

    host: str
    port: int = 161
    community: str = "public"
    timeout_seconds: float = 1.0
    retries: int = 2
    max_repetitions: int = 25
    version: int = V2C
    user: User | None = None
    context: str = ""
    has_own_socket: bool = False
    answers_from_elsewhere: bool = False
    get_next_only: bool = False
    allow_nonincreasing: bool = False

    @property
    def can_bulk(self) -> bool:
        """Whether it may be asked with GETBULK."""
        return self.version != V1 and not self.get_next_only

    def __repr__(self) -> str:
        """Without the community, which is a secret."""
        return f"Target({self.host}:{self.port})"
