"""The codec: what is encoded decodes to the same, and no octets bring anything but MalformedMessage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.integrations.snmp import InvalidOid, InvalidValue, MalformedMessage, encode_oid, oid_text, tags
from coldaisle.integrations.snmp.ber import (
    encode_element,
    encode_integer,
    encode_length,
    encode_varbind,
    integer,
    value_number,
    value_text,
)
from coldaisle.integrations.snmp.message import (
    FIRST_REQUEST_ID,
    V1,
    V2C,
    decode,
    encode,
    encode_community,
    encode_varbinds,
    prepare,
)
from coldaisle.integrations.snmp.oid import follows, oid_tuple

sub_ids = st.integers(0, 2**32 - 1)
oids = st.one_of(st.tuples(st.integers(0, 1), st.integers(0, 39)), st.tuples(st.just(2), sub_ids)).flatmap(
    lambda top: st.lists(sub_ids, max_size=12).map(lambda rest: (*top, *rest))
)
oid_texts = oids.map(lambda arcs: ".".join(map(str, arcs)))
values = st.one_of(
    st.tuples(st.just(tags.INTEGER), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.sampled_from([tags.COUNTER32, tags.GAUGE32, tags.TIMETICKS]), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(tags.COUNTER64), st.integers(0, 2**64 - 1)),
    st.tuples(st.sampled_from([tags.OCTET_STRING, tags.OPAQUE]), st.binary(max_size=300)),
    st.tuples(st.just(tags.IP_ADDRESS), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(tags.OBJECT_IDENTIFIER), oid_texts.map(encode_oid)),
    st.tuples(st.sampled_from(sorted(tags.ABSENT)), st.none()),
)
varbinds = st.lists(
    st.tuples(oid_texts.map(encode_oid), values).map(lambda pair: (pair[0], *pair[1])), max_size=8
)
pdus = st.sampled_from([tags.GET, tags.GET_NEXT, tags.RESPONSE, tags.SET, tags.GET_BULK, tags.TRAP_V2])


@given(oids)
def test_an_oid_survives_its_encoding(arcs):
    text = ".".join(map(str, arcs))
    assert oid_text(encode_oid(text)) == text
    assert oid_tuple(encode_oid("." + text)) == arcs


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("", ""),
        ("50", "2.0"),
        ("8837", "2.999"),
        ("78", "2.40"),
        ("2b8fffffff7f", "1.3.4294967295"),
        ("00", "0.0"),
    ],
)
def test_pitfall_oids_pack_two_arcs_and_may_be_empty(raw, text):
    assert oid_text(bytes.fromhex(raw)) == text
    assert encode_oid(text).hex() == raw


@given(oids, oids)
def test_oids_order_as_their_arcs(one, other):
    encoded = [encode_oid(".".join(map(str, arcs))) for arcs in (one, other)]
    assert follows(*encoded) == (other > one)


def test_pitfall_octets_of_oids_do_not_order_as_oids_but_follows_does():
    low, high = encode_oid("1.3.16383"), encode_oid("1.3.16384")
    assert low > high
    assert follows(low, high)


@pytest.mark.parametrize(
    "text", ["1", "3.1", "1.40", "1.3.x", "1..3", "1.3.4294967296", "1.3.-1", ".", "1.3.٣"]
)
def test_text_that_is_no_oid_is_refused(text):
    with pytest.raises(InvalidOid):
        encode_oid(text)


@pytest.mark.parametrize("raw", ["2b81", "2b8001", "2b9080808000", "8f8080808000"])
def test_octets_that_are_no_oid_are_malformed(raw):
    with pytest.raises(MalformedMessage):
        oid_text(bytes.fromhex(raw))


@given(st.binary(max_size=8), pdus, st.integers(-(2**31), 2**31 - 1), st.integers(0, 18), varbinds)
def test_a_message_survives_its_encoding(community, pdu, request_id, status, rows):
    shell, decoded = decode(encode(community, pdu, request_id, status, 1, encode_varbinds(rows)))
    assert decoded == rows
    assert (shell.community, shell.pdu, shell.request_id, shell.error_status) == (
        community,
        pdu,
        request_id,
        status,
    )


@given(st.binary(max_size=200))
def test_pitfall_untrusted_octets_decode_or_are_malformed(octets):
    _decode_or_refuse(octets)


@given(st.data(), varbinds)
def test_damaged_messages_decode_or_are_malformed(data, rows):
    octets = bytearray(encode(b"public", tags.RESPONSE, 7, 0, 0, encode_varbinds(rows)))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(octets)))
    _decode_or_refuse(bytes(octets[: cut or None]))


@given(st.integers(-(2**63), 2**64 - 1))
def test_integers_take_the_fewest_octets(number):
    octets = encode_integer(number)
    assert integer(octets, 2, len(octets)) == number
    content = octets[2:]
    assert len(content) == 1 or int.from_bytes(content[1:], signed=True) != number


@pytest.mark.parametrize(
    ("tag", "content", "number"),
    [
        (tags.COUNTER64, "00ffffffffffffffff", 2**64 - 1),
        (tags.COUNTER32, "ffffffff", 2**32 - 1),
        (tags.GAUGE32, "ff", 2**32 - 1),
        (tags.GAUGE32, "00ffffffff", 2**32 - 1),
        (tags.TIMETICKS, "000000000005", 5),
        (tags.INTEGER, "ff", -1),
    ],
)
def test_pitfall_integers_are_masked_to_the_width_of_their_type(tag, content, number):
    assert _one_value(encode_element(tag, bytes.fromhex(content))) == (tag, number)


@pytest.mark.parametrize(
    "element", ["0200", "4100", "020a00000000000000000000", "40030a0000", "820101", "028001", "0285"]
)
def test_wrong_values_are_malformed(element):
    with pytest.raises(MalformedMessage):
        _one_value(bytes.fromhex(element))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_pitfall_long_form_lengths_are_read_everywhere(width):
    def padded(tag, content):
        return bytes((tag, 0x80 | width)) + len(content).to_bytes(width) + content

    row = padded(tags.SEQUENCE, padded(6, b"\x2b\x06") + padded(tags.GAUGE32, b"\x05"))
    fields = padded(2, b"\x07") + padded(2, b"\x00") + padded(2, b"\x00")
    body = padded(tags.RESPONSE, fields + padded(tags.SEQUENCE, row))
    shell, rows = decode(padded(tags.SEQUENCE, padded(2, b"\x01") + padded(4, b"public") + body))
    assert (shell.community, shell.request_id) == (b"public", 7)
    assert rows == [(b"\x2b\x06", tags.GAUGE32, 5)]


@pytest.mark.parametrize("header", [b"\x30\x80", b"\x30\x85\x00\x00\x00\x00\x05", b"\x30\x82\x05"])
def test_pitfall_indefinite_overlong_and_cut_lengths_are_malformed(header):
    with pytest.raises(MalformedMessage):
        decode(header + encode_integer(1))


def test_other_versions_are_named_in_the_error():
    octets = encode(b"public", tags.GET, 1, 0, 0, b"").replace(b"\x02\x01\x01\x04", b"\x02\x01\x02\x04")
    with pytest.raises(MalformedMessage, match="version field 2"):
        decode(octets)


def test_an_error_keeps_the_first_octets_only():
    with pytest.raises(MalformedMessage) as caught:
        decode(b"\xff" * 5_000)
    assert caught.value.raw == b"\xff" * 256


def test_an_unknown_type_keeps_its_octets():
    assert _one_value(b"\x47\x02\x01\x02") == (0x47, b"\x01\x02")


@pytest.mark.parametrize(
    ("tag", "value"),
    [(tags.COUNTER32, -1), (tags.COUNTER32, 2**32), (tags.INTEGER, 2**31), (tags.INTEGER, "5"),
     (tags.OCTET_STRING, 5), (tags.IP_ADDRESS, "host")],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused(tag, value):
    with pytest.raises(InvalidValue):
        encode_varbind(b"\x2b", tag, value)


def test_a_prepared_request_differs_in_its_id_only():
    request = prepare(tags.SET, [(b"\x2b\x06", tags.INTEGER, 5)])
    for request_id in (FIRST_REQUEST_ID, FIRST_REQUEST_ID + 77):
        shell, rows = decode(encode_community(V2C, b"secret", request.with_id(request_id)))
        assert (shell.request_id, shell.pdu, rows) == (request_id, tags.SET, [(b"\x2b\x06", tags.INTEGER, 5)])


def test_no_secret_shows_in_a_text_form():
    request = prepare(tags.GET, [(b"\x2b\x06", tags.NULL, None)])
    assert "secret" not in repr(decode(encode_community(V1, b"secret", request.with_id(FIRST_REQUEST_ID)))[0])


@pytest.mark.parametrize(
    ("tag", "value", "text"),
    [(tags.IP_ADDRESS, b"\x7f\x00\x00\x01", "127.0.0.1"), (tags.OBJECT_IDENTIFIER, b"\x2b\x06", "1.3.6"),
     (tags.OCTET_STRING, b"PDU 1", "PDU 1"), (tags.OCTET_STRING, b"\x00\xff", "0x00ff"),
     (tags.COUNTER32, 5, "5"), (tags.NULL, None, "")],
)  # fmt: skip
def test_pitfall_strings_stay_octets_and_are_written_for_people(tag, value, text):
    assert value_text(tag, value) == text


def test_pitfall_numbers_hide_in_text_and_opaque_floats():
    assert value_number(tags.OCTET_STRING, b"21.5") == 21.5
    assert value_number(tags.OPAQUE, bytes.fromhex("9f780441ac0000")) == 21.5
    assert value_number(tags.OCTET_STRING, b"n/a") is None
    assert value_number(tags.OBJECT_IDENTIFIER, b"1") is None


@given(varbinds.filter(bool))
def test_pysnmp_reads_what_we_write_and_the_reverse(rows):
    ber_decoder = pytest.importorskip("pyasn1.codec.ber.decoder", reason="pysnmp is not installed")
    ber_encoder = pytest.importorskip("pyasn1.codec.ber.encoder", reason="pysnmp is not installed")
    rfc1905 = pytest.importorskip("pysnmp.proto.rfc1905", reason="pysnmp is not installed")
    octets = encode_element(tags.RESPONSE, encode_integer(7) * 3 + encode_element(48, encode_varbinds(rows)))
    pdu, rest = ber_decoder.decode(octets, asn1Spec=rfc1905.ResponsePDU())
    assert not rest
    names = [str(row[0]) for row in pdu[3]]
    assert names == [oid_text(oid) for oid, _, _ in rows]
    theirs = encode_integer(1) + encode_element(4, b"public") + bytes(ber_encoder.encode(pdu))
    assert decode(encode_element(48, theirs))[1] == rows


def test_lengths_take_their_shortest_form():
    assert [encode_length(size).hex() for size in (0, 127, 128, 256)] == ["00", "7f", "8180", "820100"]


def _one_value(element):
    row = encode_element(tags.SEQUENCE, encode_element(6, b"\x2b") + element)
    [(_, tag, value)] = decode(encode(b"", tags.RESPONSE, 1, 0, 0, row))[1]
    return tag, value


def _decode_or_refuse(octets):
    try:
        _, rows = decode(octets)
        for oid, tag, value in rows:
            oid_text(oid)
            value_text(tag, value)
            value_number(tag, value)
    except MalformedMessage:
        pass
