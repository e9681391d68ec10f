"""Which cluster, and how patient to be with it."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct


class KurrentConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``uri`` has the scheme ``kdb``, ``kurrentdb`` or ``esdb``, each also with ``+discover``.

    User and password stand in the URI and travel over TLS only. ``certificate_file`` holds the authority
    that signed the cluster's certificates, where that is a private one.
    """

    uri: Annotated[str, Meta(pattern=r"^(kdb|kurrentdb|esdb)(\+discover)?://")]
    certificate_file: str = ""
    timeout_seconds: Annotated[float, Meta(gt=0)] = 10.0
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 6
    first_pause_seconds: Annotated[float, Meta(gt=0)] = 0.1
    max_pause_seconds: Annotated[float, Meta(gt=0)] = 5.0

    def certificate(self) -> str | None:
        """The private authority's certificate."""
        return Path(self.certificate_file).read_text() if self.certificate_file else None
