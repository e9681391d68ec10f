"""Replies whose octets around the varbinds are as in an earlier one, but for the id: told without parsing."""

from msgspec import Struct

from coldaisle.integrations.snmp.message import Shell

MAX_FRAMES = 1_024
"""Beyond it they are learned anew: each length and community makes one."""

MAX_FRAME_BYTES = 512
"""In front of the varbinds; longer ones are a sender's doing and are parsed each time."""

_ID_BYTES = 4
_MIN_HEAD_BYTES = 11
"""No message of version 1 or 2c has its id further in front."""


class _Frame(Struct, frozen=True, gc=False):
    """The octets before the id and after it, up to the varbinds, and what they say."""

    head: bytes
    tail: bytes
    shell: Shell


_frames: dict[tuple[int, bytes], _Frame] = {}


def known_shell(data: bytes) -> Shell | None:
    """The shell of a datagram of a known length and frame."""
    frame = _frames.get((len(data), data[:_MIN_HEAD_BYTES]))
    if frame is None:
        return None
    id_at = len(frame.head)
    tail_at = id_at + _ID_BYTES
    if not (data.startswith(frame.head) and data.startswith(frame.tail, tail_at)):
        return None
    like, request_id = frame.shell, int.from_bytes(data[id_at:tail_at], signed=True)
    return Shell(
        like.version, like.community, like.pdu, request_id, like.error_status, like.error_index,
        like.start, like.stop,
    )  # fmt: skip


def remember_shell(data: bytes, shell: Shell) -> None:
    """Keep the frame of a datagram that was parsed, where its id takes as many octets as ours do."""
    wanted = shell.request_id.to_bytes(5, signed=True)[1:] if abs(shell.request_id) < 2**31 else b""
    id_at = data.rfind(b"\x02\x04" + wanted, 0, shell.start) + 2
    if wanted and id_at >= _MIN_HEAD_BYTES and shell.start <= MAX_FRAME_BYTES:
        if len(_frames) >= MAX_FRAMES:
            _frames.clear()
        tail = data[id_at + _ID_BYTES : shell.start]
        _frames[len(data), data[:_MIN_HEAD_BYTES]] = _Frame(data[:id_at], tail, shell)
