"""Keeps glibc from giving each thread an arena of its own: 14 MB with two thousand devices."""

import ctypes

_M_ARENA_MAX = -8  # malloc.h; mallopt(3)


def share_one_arena() -> None:
    """The agent's threads only wait for the disk: they can share. Without glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
