"""Everything that reads octets of strangers, under a fuzzer that follows the coverage.

Run by test_snmp_fuzz.py in its own process, since the fuzzer ends it. Only our own error may leave.
"""

import sys

import atheris

with atheris.instrument_imports(include=["coldaisle.integrations.snmp"]):
    from coldaisle.integrations.snmp import LocalEngine, NotAuthentic, Responder, Table, TrapUser, User, tags
    from coldaisle.integrations.snmp.ber import value_number, value_text
    from coldaisle.integrations.snmp.errors import SnmpError
    from coldaisle.integrations.snmp.incoming import Incoming
    from coldaisle.integrations.snmp.message import prepare_read
    from coldaisle.integrations.snmp.notify import trap_event
    from coldaisle.integrations.snmp.question import CommunityQuestion, decode_any
    from coldaisle.integrations.snmp.usm.asking import Discovery, SecureQuestion
    from coldaisle.integrations.snmp.usm.engine import RemoteEngine
    from coldaisle.integrations.snmp.usm.user import keys_of

ENGINE = LocalEngine(b"engine-of-ours")
USERS = [User("u"), User("s", "SHA-256", "authentic1", "AES-128", "private-1")]
DEVICE = Responder(Table({"1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 1)}), users=USERS, engine=ENGINE)
INCOMING = Incoming(ENGINE, [TrapUser(user) for user in USERS])


def read(data: bytes) -> None:
    """One datagram, at every place where one arrives."""
    for take in (_as_reply, _as_request, _as_notification):
        try:
            take(data)
        except (SnmpError, NotAuthentic):
            continue


def _as_reply(data: bytes) -> None:
    message_id, shell = decode_any(data)
    request = prepare_read(tags.GET, [b"\x2b"])
    questions = [CommunityQuestion(version, "public", request) for version in (0, 1)]
    questions += [_secure(user, request, message_id) for user in USERS]
    for question in (*questions, Discovery()):
        try:
            for oid, tag, value in question.answer(shell, data) or ():
                value_text(tag, value)
                value_number(tag, value)
                value_text(tags.OBJECT_IDENTIFIER, oid)
        except SnmpError:
            continue


def _secure(user: User, request, message_id: int) -> SecureQuestion:
    engine = RemoteEngine(ENGINE.id, 1, 0, 0.0)
    question = SecureQuestion(keys_of(user, ENGINE.id), engine, "", request)
    question.datagram(message_id % 2**31)
    return question


def _as_request(data: bytes) -> None:
    DEVICE.answer(data)


def _as_notification(data: bytes) -> None:
    notice = INCOMING.read(data, "10.0.0.1").notice
    if notice is not None:
        trap_event("asset", "10.0.0.1", notice)


if __name__ == "__main__":
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()
