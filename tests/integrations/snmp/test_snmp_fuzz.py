"""Any octets bring a value or our own error, at every place where strangers' octets arrive."""

import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldaisle.integrations.snmp import (
    LocalEngine,
    Responder,
    Table,
    TrapUser,
    User,
    encode_inform,
    encode_trap_v1,
    encode_trap_v2,
    encode_trap_v3,
    tags,
)
from coldaisle.integrations.snmp.errors import SnmpError
from coldaisle.integrations.snmp.incoming import Incoming
from coldaisle.integrations.snmp.message import decode, encode_community, prepare_read
from coldaisle.integrations.snmp.question import decode_any
from coldaisle.integrations.snmp.usm.asking import Discovery, SecureQuestion
from coldaisle.integrations.snmp.usm.engine import RemoteEngine
from coldaisle.integrations.snmp.usm.message import decode_scoped, decode_secure
from coldaisle.integrations.snmp.usm.user import keys_of

SOAK = os.environ.get("COLDAISLE_SOAK") == "1"
EXAMPLES_COUNT = 20_000 if SOAK else 200
FUZZ_SECONDS = 300 if SOAK else 8
MAX_MEGABYTES = 512
LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"
PLAIN, SECURE = User("u"), User("s", "SHA-256", "authentic1", "AES-128", "private-1")
ENGINE = LocalEngine(b"engine-of-ours")
REQUEST = prepare_read(tags.GET, [b"\x2b\x06\x01\x02\x01\x01\x03\x00"])
ROWS = [
    ("1.3.6.1.2.1.2.2.1.1.7", tags.INTEGER, 7),
    ("1.3.6.1.9.1", tags.OPAQUE, bytes.fromhex("9f780441ac0000")),
]


def question(user):
    return SecureQuestion(keys_of(user, ENGINE.id), RemoteEngine(ENGINE.id, 1, 0, 0.0), "", REQUEST)


SEEDS = [
    *(encode_community(version, b"public", REQUEST.with_id(2**30)) for version in (0, 1)),
    encode_trap_v1("public", 1, LINK_DOWN, ROWS),
    encode_trap_v2("public", 1, LINK_DOWN, ROWS),
    encode_inform("public", 1, LINK_DOWN, ROWS),
    Discovery().datagram(77),
    *(question(user).datagram(77) for user in (PLAIN, SECURE)),
    *(encode_trap_v3(user, LocalEngine(b"engine-of-theirs"), 1, LINK_DOWN, ROWS) for user in (PLAIN, SECURE)),
]


@st.composite
def damaged(draw):
    """A right message of any kind, some octets changed, cut or doubled."""
    octets = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 5))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    start, stop = sorted((draw(st.integers(0, len(octets))), draw(st.integers(0, len(octets)))))
    match draw(st.sampled_from(["keep", "cut", "double"])):
        case "cut":
            del octets[start:stop]
        case "double":
            octets[stop:stop] = octets[start:stop]
    return bytes(octets)


@settings(max_examples=EXAMPLES_COUNT, deadline=None)
@given(st.one_of(damaged(), st.binary(max_size=300)))
def test_damaged_datagrams_bring_a_value_or_our_own_error_everywhere(data):
    device = Responder(
        Table({"1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 1)}), users=[PLAIN, SECURE], engine=ENGINE
    )
    incoming = Incoming(ENGINE, [TrapUser(PLAIN), TrapUser(SECURE)])

    def as_reply(octets):
        _, shell = decode_any(octets)
        for asked in (question(PLAIN), question(SECURE), Discovery()):
            asked.datagram(77)
            with suppress(SnmpError):
                asked.answer(shell, octets)

    def as_secure(octets):
        shell = decode_secure(octets)
        decode_scoped(octets, shell.start, shell.stop)

    def as_notification(octets):
        incoming.read(octets, "10.0.0.1")

    taken_count = 0
    for take in (decode, as_secure, as_reply, device.answer, as_notification):
        with suppress(SnmpError):
            take(data)
        taken_count += 1
    assert taken_count == 5


def test_the_seeds_themselves_are_understood():
    incoming = Incoming(ENGINE, [TrapUser(PLAIN), TrapUser(SECURE)])
    assert [incoming.read(data, "10.0.0.1").notice is not None for data in (*SEEDS[2:5], *SEEDS[-2:])] == [
        True
    ] * 5


@pytest.mark.timeout(FUZZ_SECONDS + 120)
def test_a_fuzzer_that_follows_the_coverage_finds_no_other_error(tmp_path: Path):
    """The long form, with COLDAISLE_SOAK=1, runs for minutes."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris has no build for this interpreter or system")
    for number, seed in enumerate(SEEDS):
        (tmp_path / str(number)).write_bytes(seed)
    # Through a shell that forks: a program's peak of memory, which is bounded here, begins with its parent's.
    command = [
        "sh", "-c", '"$@"; exit $?', "sh",
        sys.executable, str(Path(__file__).parent / "fuzz.py"), str(tmp_path), "-close_fd_mask=0",
        f"-max_total_time={FUZZ_SECONDS}", f"-rss_limit_mb={MAX_MEGABYTES}", "-max_len=1500",
        f"-artifact_prefix={tmp_path}/",
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=FUZZ_SECONDS + 100)
    assert done.returncode == 0, done.stderr[-3_000:] + done.stdout[-1_000:]
    assert "DONE" in done.stderr
