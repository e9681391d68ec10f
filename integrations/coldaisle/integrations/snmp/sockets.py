"""What the kernel says about a UDP socket: its buffer and its losses."""

import os
import socket
from pathlib import Path

_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
_INODE_COLUMN = 9
_SO_RCVBUFFORCE = 33
"""Of Linux; the standard library has no name for it."""


def raise_receive_buffer(bound: socket.socket, wanted_bytes: int) -> int:
    """Ask for a receive buffer; returns what the kernel granted (Linux counts its bookkeeping twice).

    Who administers the network may exceed ``net.core.rmem_max``; the others get that at most.
    """
    try:
        bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted_bytes)
    except OSError:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted_bytes)
    return bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def kernel_drops(bound: socket.socket) -> int:
    """Datagrams that the kernel dropped at this socket; 0 where the system keeps no such table."""
    inode = str(os.fstat(bound.fileno()).st_ino)
    return sum(drops_in(table.read_text(), inode) for table in _TABLES if table.exists())


def drops_in(table: str, inode: str) -> int:
    """The last column of the row with this inode in a table such as ``/proc/net/udp``."""
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(int(row[-1]) for row in rows if len(row) > _INODE_COLUMN and row[_INODE_COLUMN] == inode)
