"""The moments at which devices are polled: spread over the interval, but in slots that they share. Pure."""

import hashlib

SLOT_SECONDS = 0.25
"""The grid of these moments: a datagram of a burst costs half the CPU of one for which the loop wakes up."""


def start_slot(now: float) -> float:
    """The slot that began last: the same moment for all devices that start together."""
    return now // SLOT_SECONDS * SLOT_SECONDS


def start_offset(asset: str, poll_seconds: float) -> float:
    """Seconds after the start at which a device is first polled: spread, the same at every start."""
    share = int.from_bytes(hashlib.sha256(asset.encode()).digest()[:4]) / 2**32
    return share * poll_seconds // SLOT_SECONDS * SLOT_SECONDS


def next_due(due: float, now: float, pause_seconds: float) -> float:
    """The next slot after ``now``, in step with ``due``."""
    missed = max(0, int((now - due) // pause_seconds))
    return due + (missed + 1) * pause_seconds
