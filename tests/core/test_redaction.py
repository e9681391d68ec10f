"""What must not leave a host: masked in every form, in linear time, on any text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.core.errors import ConfigError
from coldaisle.core.redaction import MASK, Redactor

REDACT = Redactor().redact
MAX_SECONDS = 2.0
"""For texts 20 times longer than a frame by default; what grows with their square would take minutes."""


@pytest.mark.parametrize(
    "line",
    [
        "login password=S3CRET",
        "login password=S3CRET,with;punctuation",
        "DB_PASSWORD: S3CRET",
        'body {"user": "bob", "password": "S3CRET \\" S3CRET", "n": 1}',
        'escaped {\\"secret\\":\\"S3CRET\\"}',
        "Passwd := 'S3CRET S3CRET'",
        "run --password S3CRET --verbose",
        "run --db-token S3CRET",
        "GET https://bob:S3CRET@host/path",
        "GET https://host/path?a=b&access_token=S3CRET",
        "GET /x?X-Amz-Signature=S3CRET",
        "Authorization: Basic S3CRET",
        "Authorization: Bearer S3CRET",
        "used bearer S3CRETS3CRETS3CRET",
        "Set-Cookie: sid=S3CRET; path=S3CRET",
        "X-Api-Key: S3CRET",
        "AWS_SECRET_ACCESS_KEY=S3CRET",
        'snmp community "S3CRET" refused',
        "community=S3CRET",
        "-----BEGIN RSA PRIVATE KEY-----\nS3CRET\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\\x0aS3CRET",
        "mail to S3CRET@example.org bounced",
    ],
)
def test_a_secret_that_is_announced_is_masked(line: str) -> None:
    found = REDACT(line)
    assert "S3CRET" not in found
    assert MASK in found


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + "ABCDEFGH23456789",
        "ghp_" + "a1B2" * 9,
        "glpat-" + "x" * 20,
        "xoxb-" + "1234567890-abc",
        "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "$6$" + "saltsalt$" + "Aa0./" * 10,
        "MIIE" + "owIBAAKCAQEA" * 4,
    ],
)
def test_a_secret_that_shows_by_its_form_is_masked(secret: str) -> None:
    assert REDACT(secret) == MASK
    if not secret.startswith("MII"):
        assert REDACT(f"found {secret} here") == f"found {MASK} here"


@pytest.mark.parametrize(
    "line",
    [
        "Failed password for root from 10.0.0.1 port 22 ssh2",
        "token bucket is full",
        "sudo: bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/ls",
        "signal: 9 design=3",
        "/usr/lib/systemd/systemd-logind at https://host/path?a=b",
        "12:30:05 link up, 00:1b:21:3c:4d:5e",
        "",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert REDACT(line) == line


def test_addresses_are_masked_where_that_is_asked_for() -> None:
    line = "from 10.1.2.3:514 and fe80::1 to 2001:db8:0:0:1:2:3:4 at 12:30:05"
    assert REDACT(line) == line
    masked = f"from {MASK}:514 and {MASK} to {MASK} at 12:30:05"
    assert Redactor(addresses=True).redact(line) == masked


def test_patterns_of_one_s_own_are_masked() -> None:
    assert Redactor(patterns=[r"EMP\d+", "badge-[a-z]+"]).redact("EMP12 has badge-x") == f"{MASK} has {MASK}"


@pytest.mark.parametrize("pattern", ["(", "a" * 501, r"(a)\1", "(?=a)"])
def test_a_pattern_that_cannot_be_used_is_refused_at_start(pattern: str) -> None:
    with pytest.raises(ConfigError, match="pattern to mask"):
        Redactor(patterns=[pattern])


HOSTILE = [
    "password=", 'password="', "password='\\", "password:  \\\\", 'password "', '"', '\\"', "a@", "@", "://",
    "://a:", "a.", "a@b.", "-----BEGIN PRIVATE KEY", "bearer ", "--", "--a-", "--password ", "cookie:",
    "1.1.1.", ":", "abcd:", "$6$", "eyJ", "eyJaaaaaaaaa.", "A", " ", "token", "sig=", "xox", "\0",
    "\u017fecret=",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("end", ["", "!", "@", "password"])
def test_no_text_takes_more_than_linear_time(piece: str, end: str) -> None:
    text = piece * (160_000 // len(piece)) + end
    redactor = Redactor(addresses=True, patterns=["(a+)+$"])
    started = time.process_time()
    redactor.redact(text)
    assert time.process_time() - started < MAX_SECONDS


@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=10), max_size=40).map("".join))
def test_any_text_is_taken_and_a_secret_in_it_is_masked(text: str) -> None:
    Redactor(addresses=True).redact(text)
    assert "hunter2" not in REDACT(f"{text.replace(chr(34), '')}\npassword=hunter2")
