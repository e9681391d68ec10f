"""What is told of a message by its known frame is what its octets say, whatever they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.integrations.snmp import tags
from coldaisle.integrations.snmp.frames import MAX_FRAME_BYTES, MAX_FRAMES, known_shell, remember_shell
from coldaisle.integrations.snmp.message import FIRST_REQUEST_ID, LAST_REQUEST_ID, decode_shell, encode
from coldaisle.integrations.snmp.question import decode_any

IDS = st.integers(FIRST_REQUEST_ID, LAST_REQUEST_ID)


@given(IDS, IDS, st.binary(max_size=20), st.binary(max_size=300), st.integers(0, 5))
def test_a_shell_of_a_known_frame_is_the_parsed_one(first_id, second_id, community, content, status):
    first = encode(community, tags.RESPONSE, first_id, status, 0, content)
    remember_shell(first, decode_shell(first))
    second = encode(community, tags.RESPONSE, second_id, status, 0, content)
    assert known_shell(second) == decode_shell(second)


@given(IDS, st.data())
def test_octets_that_differ_are_never_read_by_a_known_frame(request_id, draw):
    whole = encode(b"public", tags.RESPONSE, request_id, 0, 0, b"")
    remember_shell(whole, decode_shell(whole))
    at = draw.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes((whole[at] ^ draw.draw(st.integers(1, 255)),)) + whole[at + 1 :]
    shell = known_shell(changed)
    assert shell is None or shell == decode_shell(changed)


@pytest.mark.parametrize("request_id", [0, 5, -1, 2**31 - 1, -(2**31), 2**40])
def test_ids_of_any_length_are_read_rightly_before_and_after(request_id):
    whole = encode(b"public", tags.RESPONSE, request_id, 0, 0, b"")
    assert decode_any(whole) == decode_any(whole) == (request_id, decode_shell(whole))


def test_a_community_that_holds_the_id_does_not_hide_it():
    community = b"\x02\x04" + FIRST_REQUEST_ID.to_bytes(4)
    for request_id in (FIRST_REQUEST_ID, FIRST_REQUEST_ID + 1):
        whole = encode(community, tags.RESPONSE, request_id, 0, 0, b"")
        assert decode_any(whole) == (request_id, decode_shell(whole))


def test_more_frames_than_the_bound_are_learned_anew():
    for size in range(MAX_FRAMES + 10):
        whole = encode(b"public", tags.RESPONSE, FIRST_REQUEST_ID, 0, 0, bytes(size))
        remember_shell(whole, decode_shell(whole))
    assert known_shell(whole) == decode_shell(whole)


def test_a_frame_that_only_a_sender_can_have_made_so_long_is_not_kept():
    whole = encode(b"x" * MAX_FRAME_BYTES, tags.RESPONSE, FIRST_REQUEST_ID, 0, 0, b"")
    remember_shell(whole, decode_shell(whole))
    assert known_shell(whole) is None
