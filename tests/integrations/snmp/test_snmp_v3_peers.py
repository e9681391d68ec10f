"""Version 3 against Debian's agent and tools and against pysnmp, both ways."""

import pytest
from msgspec import structs

from coldaisle.integrations.snmp import (
    User,
)
from coldaisle.integrations.snmp.message import V3

UPTIME = "1.3.6.1.2.1.1.3.0"
CONTACT = "1.3.6.1.2.1.1.4.0"
SYSTEM = "1.3.6.1.2.1.1"
A, P = "authentic1", "private-12"
USERS = [
    User("nobody-special"),
    User("signs", "SHA-1", A),
    User("md5-des", "MD5", A, "DES", P),
    User("sha-aes", "SHA-1", A, "AES-128", P),
    User("sha224-aes", "SHA-224", A, "AES-128", P),
    User("sha256-aes", "SHA-256", A, "AES-128", P),
    User("sha384-aes192", "SHA-384", A, "AES-192", P),
    User("sha512-aes256", "SHA-512", A, "AES-256", P),
    User("sha-aes256", "SHA-1", A, "AES-256", P),
]
SECURE = USERS[5]


def as_user(target, user, **settings):
    return structs.replace(target, version=V3, user=user, timeout_seconds=5.0, **settings)


@pytest.mark.peers
@pytest.mark.parametrize("user", USERS, ids=repr)
async def test_we_walk_debians_agent_as_any_user(client, snmpds, user):
    agent = await snmpds(user)
    rows = await client.walk(as_user(agent.target, user), "1.3.6.1.2.1.1.9")
    plain = await client.walk(agent.target, "1.3.6.1.2.1.1.9")
    assert rows == plain
    assert len(rows) > 10
