"""UDP sockets: one that is read in bursts, and what the kernel says about buffers and losses."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
_INODE_COLUMN = 9
_SO_RCVBUFFORCE = 33
"""Of Linux; the standard library has no name for it."""

_MAX_DATAGRAM_BYTES = 65_535
_MAX_BURST_DATAGRAMS = 256


class Datagrams(asyncio.DatagramTransport):
    """A UDP socket that hands over all waiting datagrams when the loop wakes up; asyncio's takes one a turn.

    What is sent in a turn of the loop leaves together at its end: waking a receiver for each costs ten times
    as much as sending to one that is awake.
    What the kernel does not take at once is dropped: datagrams get lost anyway, and whoever sends asks again.
    """

    def __init__(self, protocol: asyncio.DatagramProtocol, family: int) -> None:
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        super().__init__({"socket": self._socket})
        self._socket.setblocking(False)
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._drain)
        self._unsent: list[tuple[Any, Any]] = []

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram soon; what the kernel says against it goes to the protocol."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append((data, addr))
        if len(self._unsent) >= _MAX_BURST_DATAGRAMS:
            self._flush()

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        for data, addr in unsent:
            self._send(data, addr)

    def _send(self, data: Any, addr: Any) -> None:
        try:
            self._socket.sendto(data, addr)
        except BlockingIOError:
            return
        except OSError as error:
            self._protocol.error_received(error)

    def close(self) -> None:
        """Close the socket."""
        if self._socket.fileno() >= 0:
            self._flush()
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _drain(self) -> None:
        for _ in range(_MAX_BURST_DATAGRAMS):
            try:
                data, sender = self._socket.recvfrom(_MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._protocol.error_received(error)
                return
            self._protocol.datagram_received(data, sender)
            if self._socket.fileno() < 0:  # closed by what arrived
                return


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
