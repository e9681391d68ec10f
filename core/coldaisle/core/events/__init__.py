"""What happened: the event types, their envelope, their ids and their codec."""

from coldaisle.core.events.codec import decode, encode, encode_body, parse_body
from coldaisle.core.events.envelope import Emit, Fact, NewEvent, Observation, Recorded
from coldaisle.core.events.ids import derived_id, id_text, new_id, parse_id, sequenced_id
from coldaisle.core.events.streams import stream_of

__all__ = [
    "Emit",
    "Fact",
    "NewEvent",
    "Observation",
    "Recorded",
    "decode",
    "derived_id",
    "encode",
    "encode_body",
    "id_text",
    "new_id",
    "parse_body",
    "parse_id",
    "sequenced_id",
    "stream_of",
]
