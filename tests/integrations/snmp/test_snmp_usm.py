"""Version 3 as the standards state it: keys, messages, engines and what they refuse. No sockets."""

import hashlib
import subprocess
import sys
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp import (
    InvalidValue,
    MalformedMessage,
    NotAuthentic,
    SecurityReport,
    User,
    tags,
)
from coldaisle.integrations.snmp.message import encode_pdu, prepare_read
from coldaisle.integrations.snmp.usm import LocalEngine, RemoteEngine, load_engine
from coldaisle.integrations.snmp.usm.asking import SecureQuestion
from coldaisle.integrations.snmp.usm.authority import Authority, Refused
from coldaisle.integrations.snmp.usm.engine import WINDOW_SECONDS
from coldaisle.integrations.snmp.usm.keys import DIGESTS, localized_key, master_key, privacy_key
from coldaisle.integrations.snmp.usm.message import decode_scoped, decode_secure, encode_scoped, encode_secure
from coldaisle.integrations.snmp.usm.privacy import KEY_BYTES
from coldaisle.integrations.snmp.usm.user import AUTH, check_user, keys_of

ENGINE = bytes.fromhex("000000000000000000000002")
PHRASE = "maplesyrup"
PYSNMP_AUTH = {
    "MD5": (1, 3, 6, 1, 6, 3, 10, 1, 1, 2), "SHA-1": (1, 3, 6, 1, 6, 3, 10, 1, 1, 3),
    "SHA-224": (1, 3, 6, 1, 6, 3, 10, 1, 1, 4), "SHA-256": (1, 3, 6, 1, 6, 3, 10, 1, 1, 5),
    "SHA-384": (1, 3, 6, 1, 6, 3, 10, 1, 1, 6), "SHA-512": (1, 3, 6, 1, 6, 3, 10, 1, 1, 7),
}  # fmt: skip
OID = b"\x2b\x06\x01"
USERS = [
    User("u", auth, "authentic1", privacy, "private-1" if privacy else "", expansion)
    for auth in DIGESTS
    for privacy in ("", *KEY_BYTES)
    for expansion in ("blumenthal", "reeder")
    if privacy or expansion == "blumenthal"
]


@pytest.mark.parametrize(
    ("digest", "master", "localized"),
    [
        ("MD5", "9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"),
        (
            "SHA-1",
            "9fb5cc0381497b3793528939ff788d5d79145211",
            "6695febc9288e36282235fc7151f128497b38f3f",
        ),
    ],
)
def test_keys_are_those_of_rfc_3414_appendix_a_3(digest, master, localized):
    assert master_key(DIGESTS[digest], PHRASE.encode()).hex() == master
    assert localized_key(DIGESTS[digest], PHRASE.encode(), ENGINE).hex() == localized


@pytest.mark.parametrize("auth", DIGESTS)
@pytest.mark.parametrize("expansion", ["blumenthal", "reeder"])
def test_keys_equal_those_of_pysnmp(auth, expansion):
    hlapi = pytest.importorskip("pysnmp.hlapi.v3arch.asyncio", reason="pysnmp is not installed")
    from pysnmp.entity import config
    from pysnmp.proto.secmod.rfc3414 import localkey

    theirs = config.PRIV_SERVICES[
        hlapi.usmAesCfb256Protocol if expansion == "reeder" else hlapi.usmAesBlumenthalCfb256Protocol
    ]
    digest = partial(hashlib.new, DIGESTS[auth].name)
    master = localkey.hash_passphrase(PHRASE.encode(), digest)
    key = theirs.localize_key(PYSNMP_AUTH[auth], master, hlapi.OctetString(ENGINE))
    assert privacy_key(DIGESTS[auth], PHRASE.encode(), ENGINE, 32, expansion) == key.asOctets()


def test_expansions_differ_only_beyond_the_hash():
    keys = [privacy_key(DIGESTS["MD5"], b"maplesyrup", ENGINE, 32, kind) for kind in ("blumenthal", "reeder")]
    assert keys[0][:16] == keys[1][:16]
    assert keys[0][16:] != keys[1][16:]


@pytest.mark.parametrize("user", USERS, ids=repr)
def test_a_request_and_its_reply_survive_every_protocol(user):
    authority = Authority(LocalEngine(), [user])
    question = _question(user, authority)
    data = question.datagram(77)
    found = authority.authorize(decode_secure(data), data)
    assert found.scoped.shell.request_id == 77
    row = bytes.fromhex("300806032b0601020105")
    reply = authority.reply(found, encode_pdu(tags.RESPONSE, 77, 0, 0, row))
    assert question.answer(decode_secure(reply), reply) == [(OID, tags.INTEGER, 5)]


@pytest.mark.parametrize("user", USERS[::7], ids=repr)
def test_any_changed_octet_of_a_signed_request_is_refused(user):
    authority = Authority(LocalEngine(), [user])
    data = _question(user, authority).datagram(77)
    for place in range(len(data)):
        octets = bytearray(data)
        octets[place] ^= 0x41
        with pytest.raises((Refused, MalformedMessage)):
            authority.authorize(decode_secure(bytes(octets)), bytes(octets))


def test_no_secret_shows_in_the_text_form_of_a_user():
    assert "maplesyrup" not in repr(User("u", "SHA-1", PHRASE, "DES", PHRASE))


@pytest.mark.parametrize(
    "user",
    [
        User(""),
        User("u" * 33),
        User("u", "SHA-2", PHRASE),
        User("u", "SHA-256", "short"),
        User("u", "SHA-256", PHRASE, "AES", PHRASE),
        User("u", "", "", "AES-128", PHRASE),
    ],
    ids=repr,
)
def test_a_user_that_cannot_be_is_refused_without_telling_a_phrase(user):
    with pytest.raises(InvalidValue) as caught:
        check_user(user)
    assert "maplesyrup" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_pitfall_a_name_of_any_content_never_moves_the_place_of_the_code():
    """Pitfall: searching the message for zeros, or for the user's name, finds them elsewhere."""
    for name in ("\0" * 24, "\x04\x18" + "\0" * 24, "u"):
        user = User(name, "SHA-256", PHRASE)
        engine = LocalEngine(bytes(24))
        authority = Authority(engine, [user])
        data = _question(user, authority).datagram(77)
        assert authority.authorize(decode_secure(data), data).user == user


def test_pitfall_long_form_lengths_are_read_in_every_field_of_version_3():
    def padded(tag, content):
        return bytes((tag, 0x83)) + len(content).to_bytes(3) + content

    pdu = padded(0xA8, padded(2, b"\x05") + padded(2, b"\0") + padded(2, b"\0") + padded(48, b""))
    scoped = padded(48, padded(4, b"eng12") + padded(4, b"") + pdu)
    usm = padded(
        48, b"".join([padded(4, b"eng12"), padded(2, b"\7"), padded(2, b"\x09"), *[padded(4, b"")] * 3])
    )
    fields = padded(2, b"\x4d") + padded(2, b"\x05\xdc") + padded(4, b"\0") + padded(2, b"\3")
    data = padded(48, padded(2, b"\3") + padded(48, fields) + padded(4, usm) + scoped)
    shell = decode_secure(data)
    assert (shell.message_id, shell.engine_id, shell.boots, shell.time) == (77, b"eng12", 7, 9)
    assert decode_scoped(data, shell.start, shell.stop).shell.request_id == 5


# --- what the asking side refuses --------------------------------------------------------------------------


def test_pitfall_a_downgraded_reply_is_refused():
    user, authority, question = _meeting()
    found = _received(authority, question)
    scoped = encode_scoped(authority.engine.id, b"", encode_pdu(tags.RESPONSE, 77, 0, 0, b""))
    for flags in (0, AUTH):
        keys = keys_of(user, authority.engine.id)
        reply = encode_secure(keys, flags, authority.engine.id, 1, authority.engine.time, 77, scoped)
        with pytest.raises(NotAuthentic, match="downgrade"):
            question.answer(decode_secure(reply), reply)
    assert found


def test_a_reply_of_another_engine_is_refused():
    user, authority, question = _meeting()
    other = Authority(LocalEngine(), [user])
    found = _received(authority, question)
    with pytest.raises(NotAuthentic, match="another engine"):
        _answer(question, other.reply(found, encode_pdu(tags.RESPONSE, 77, 0, 0, b"")))


def test_pitfall_a_reply_with_a_wrong_code_never_sets_the_time():
    """Pitfall: boots and time come only from authentic messages."""
    _, authority, question = _meeting()
    found = _received(authority, question)
    authority.engine.boots = 2**30
    reply = bytearray(authority.reply(found, encode_pdu(tags.RESPONSE, 77, 0, 0, b"")))
    reply[-1] ^= 1
    with pytest.raises(NotAuthentic, match="code"):
        _answer(question, bytes(reply))
    assert question._engine.boots == 1


def test_an_unauthentic_report_about_the_time_is_not_believed():
    user, authority, question = _meeting()
    _received(authority, question)
    row = bytes.fromhex("300f060a2b060106030f01010200410105")
    scoped = encode_scoped(authority.engine.id, b"", encode_pdu(tags.REPORT, 77, 0, 0, row))
    reply = encode_secure(keys_of(user, authority.engine.id), 0, authority.engine.id, 9, 9, 77, scoped)
    with pytest.raises(NotAuthentic, match="not authentic"):
        _answer(question, reply)
    assert question._engine.boots == 1


def test_a_reply_with_another_request_id_is_no_answer():
    _, authority, question = _meeting()
    found = _received(authority, question)
    assert _answer(question, authority.reply(found, encode_pdu(tags.RESPONSE, 78, 0, 0, b""))) is None


def test_pitfall_an_authentic_reply_moves_the_clock_forwards_only():
    engine = RemoteEngine(b"engine", 3, 1_000, 0.0)
    for boots, seconds, expected in (
        (3, 900, (3, 1_000)),
        (2, 5_000, (3, 1_000)),
        (3, 1_001, (3, 1_001)),
        (4, 5, (4, 5)),
    ):
        engine.advance(boots, seconds, 0.0)
        assert (engine.boots, engine.time) == expected


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_window_is_150_seconds(elapsed, behind):
    engine = RemoteEngine(b"engine", 3, 1_000, 0.0)
    assert engine.is_timely(3, 1_000 + elapsed - behind, float(elapsed)) == (behind <= WINDOW_SECONDS)
    assert engine.is_timely(4, 0, float(elapsed))
    assert not engine.is_timely(2, 10**6, float(elapsed))


# --- what the answering side refuses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asking", "name"),
    [
        (User("stranger", "SHA-256", "authentic1", "AES-128", "private-1"), "unknownUserNames"),
        (User("u", "SHA-256", "another-phrase", "AES-128", "private-1"), "wrongDigests"),
        (User("u", "SHA-256", "authentic1", "AES-128", "another-phrase"), "decryptionErrors"),
        (User("plain", "SHA-256", "authentic1", "AES-128", "private-1"), "unsupportedSecLevels"),
    ],
)
def test_a_refusal_is_a_typed_error_for_the_operator(asking, name):
    authority = Authority(
        LocalEngine(), [User("u", "SHA-256", "authentic1", "AES-128", "private-1"), User("plain")]
    )
    question = _question(asking, authority)
    with pytest.raises(Refused) as refused:
        _received(authority, question)
    with pytest.raises(SecurityReport, match=name):
        _answer(question, refused.value.report)
    assert authority.refused_counts == {name: 1}


@pytest.mark.parametrize(("boots", "seconds"), [(1, 10**6), (2, 0), (0, 0)])
def test_a_clock_that_is_off_is_mended_by_the_report(boots, seconds):
    _, authority, question = _meeting()
    question._engine.set(boots, seconds, question._engine.heard_at)
    with pytest.raises(Refused) as refused:
        _received(authority, question)
    with pytest.raises(SecurityReport, match="notInTimeWindows") as report:
        _answer(question, refused.value.report)
    assert report.value.is_mended
    assert _received(authority, question)


def test_a_refused_request_that_wants_no_report_gets_none():
    _, authority, question = _meeting()
    data = question.datagram(77)
    shell = replace(decode_secure(data), flags=3, user=b"nobody")
    with pytest.raises(Refused) as refused:
        authority.authorize(shell, data)
    assert refused.value.report == b""


# --- our own engine ----------------------------------------------------------------------------------------


def test_boots_count_the_starts_and_survive_them(tmp_path):
    first, second = load_engine(tmp_path / "engine"), load_engine(tmp_path / "engine")
    assert (first.id, first.boots) == (second.id, second.boots - 1)
    assert len(first.id) == 17


@pytest.mark.parametrize("content", [b"{", b'{"engine_id": "xx", "boots": 1}', b"[]"])
def test_a_damaged_engine_file_is_named(tmp_path, content):
    (tmp_path / "engine").write_bytes(content)
    with pytest.raises(ConfigError, match="engine"):
        load_engine(tmp_path / "engine")


def test_without_version_3_cryptography_is_not_imported():
    code = "import sys, coldaisle.integrations.snmp; assert 'cryptography' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def _meeting():
    user = User("u", "SHA-256", "authentic1", "AES-128", "private-1")
    authority = Authority(LocalEngine(), [user])
    return user, authority, _question(user, authority)


def _question(user, authority):
    engine = RemoteEngine(authority.engine.id, 1, 0, authority.engine.booted_at)
    return SecureQuestion(keys_of(user, engine.id), engine, "", prepare_read(tags.GET, [OID]))


def _received(authority, question):
    data = question.datagram(77)
    return authority.authorize(decode_secure(data), data)


def _answer(question, reply):
    return question.answer(decode_secure(reply), reply)
