"""How much an observation takes of the memory that is set aside for what waits. Pure.

A group of log lines or a notification takes a thousand times what a reading takes: bounds by number alone
would bound nothing.
"""

from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import InputRejected, LogLinesRecorded, SamplesRecorded, TrapReceived

_ROW_BYTES = 100
"""Of an event, and of each of its values, beside the texts in it."""


def weight_bytes(observation: Observation) -> int:
    """About so many, told without encoding it."""
    match observation.body:
        case SamplesRecorded(metrics=metrics):
            return _ROW_BYTES * (1 + len(metrics))
        case LogLinesRecorded(lines=lines):
            return _ROW_BYTES * (1 + len(lines)) + sum(len(line.message) for line in lines)
        case TrapReceived(varbinds=rows):
            return _ROW_BYTES * (1 + len(rows)) + sum(len(text) for _, text in rows)
        case InputRejected(raw=raw):
            return _ROW_BYTES + len(raw)
        case _:
            return _ROW_BYTES
