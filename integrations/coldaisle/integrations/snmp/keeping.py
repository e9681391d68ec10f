"""Files that keep what was learned over restarts. All of it can be learned again, so no fault is fatal."""

import logging
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from coldaisle.integrations.snmp.peers import KnownPeer

MAX_FILE_BYTES = 268_435_456

_log = logging.getLogger(__name__)
Kept = TypeVar("Kept")


def read_kept(path: Path | None, kind: type[Kept], nothing: Kept) -> Kept:
    """What the file holds; ``nothing`` where there is no file, or none that can be read."""
    if path is None:
        return nothing
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"over {MAX_FILE_BYTES} bytes")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError) as error:
        _log.warning("what was learned is begun anew", extra={"file": str(path), "reason": str(error)})
        return nothing


def write_kept(path: Path, kept: object) -> bool:
    """Write it, whole or not at all; a fault is logged. Whether it is written."""
    partly = path.with_suffix(".partly")
    try:
        partly.write_bytes(msgspec.json.encode(kept))
        os.replace(partly, path)
    except OSError as error:
        _log.warning("what was learned cannot be kept", extra={"file": str(path), "reason": str(error)})
        return False
    return True


def read_peers(path: Path | None) -> list[KnownPeer]:
    """Engines, clocks and repetitions by address, as they were when the file was written."""
    return [peer for peer in read_kept(path, list[KnownPeer], []) if _is_hex(peer.engine_id)]


def _is_hex(text: str) -> bool:
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return True
