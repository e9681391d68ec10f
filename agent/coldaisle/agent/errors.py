"""Errors of the agent.

ColdaisleError
├── SpoolUnwritable     the disk takes no more for now
└── StreamEnded         the server or the network ended the stream
"""

from coldaisle.core.errors import ColdaisleError


class SpoolUnwritable(ColdaisleError):  # noqa: N818 - named for the situation
    """Raised when the spool cannot be written now (disk full, locked); keep the events and try again."""


class StreamEnded(ColdaisleError):  # noqa: N818 - named for the situation
    """Raised when the stream to the server is over; connect again and send what is not acknowledged."""
