"""The global options, as one value that every command receives."""

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_SERVER = "127.0.0.1:7443"
DEFAULT_DATA = "coldaisle-data"
DEFAULT_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server is and how to talk to it. ``token_file`` None: the one in the data directory."""

    server: str = DEFAULT_SERVER
    token_file: Path | None = None
    tls_ca: Path | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    debug: bool = False


def default_token_file() -> Path:
    """The token that a server on this machine wrote at its first start."""
    return Path(os.environ.get("COLDAISLE_DATA") or DEFAULT_DATA) / "token"
