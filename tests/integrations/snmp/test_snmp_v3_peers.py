"""Version 3 against Debian's agent and tools and against pysnmp, both ways; and against odd engines."""

import asyncio

import pytest
from msgspec import convert, structs

from coldaisle.core.events.types import InputRejected
from coldaisle.integrations.snmp import (
    DeviceConfig,
    ErrorStatus,
    LocalEngine,
    NotAuthentic,
    Responder,
    SecurityReport,
    SnmpClient,
    Target,
    User,
    tags,
)
from coldaisle.integrations.snmp.collect import DeviceWatch
from coldaisle.integrations.snmp.message import V3
from coldaisle.integrations.snmp.profile_files import built_in_profiles
from coldaisle.integrations.snmp.usm.message import decode_secure

from .conftest import v3_arguments

UPTIME = "1.3.6.1.2.1.1.3.0"
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


@pytest.mark.peers
@pytest.mark.parametrize(
    ("user", "name"),
    [
        (User("stranger", "SHA-256", A, "AES-128", P), "unknownUserNames"),
        (User("sha256-aes", "SHA-256", "wrong-phrase", "AES-128", P), "wrongDigests"),
        (User("nobody-special", "SHA-256", A, "AES-128", P), "unsupportedSecLevels"),
    ],
)
async def test_what_debians_agent_refuses_is_a_typed_error_at_once(client, snmpds, user, name):
    agent = await snmpds(SECURE, USERS[0])
    with pytest.raises(SecurityReport, match=name):
        await client.get(as_user(agent.target, user), [UPTIME])


@pytest.mark.peers
async def test_a_restart_of_debians_agent_is_followed(client, snmpds):
    """Its boots rise, so that our clock of it is wrong: one report mends that."""
    agent = await snmpds(SECURE)
    target = as_user(agent.target, SECURE)
    await client.get(target, [UPTIME])
    before = client.export()[0].boots
    await agent.stop()
    await agent.start()
    assert (await client.get(target, [UPTIME]))[0][1] == tags.TIMETICKS
    assert client.export()[0].boots == before + 1


@pytest.mark.peers
@pytest.mark.parametrize("user", USERS, ids=repr)
async def test_tools_of_net_snmp_walk_get_and_set_ours_as_any_user(tool, table, user):
    def on_set(oid, tag, value):
        table.update({oid: (tag, value)})
        return 0

    async with Responder(table, writers=[user], on_set=on_set) as device:
        arguments = [*v3_arguments(user), "-On", "-t5", f"127.0.0.1:{device.port}"]
        output = await tool("snmpbulkwalk", *arguments, "1.3.6.1.2.1.2")
        assert len([line for line in output.splitlines() if "Counter32" in line]) == len(table) - 1
        assert "INTEGER: 14" in await tool("snmpset", *arguments, f"{SYSTEM}.6.0", "i", "14")
        assert "INTEGER: 14" in await tool("snmpget", *arguments, f"{SYSTEM}.6.0")


@pytest.mark.parametrize(
    ("user", "auth", "privacy"),
    [(USERS[2], "usmHMACMD5AuthProtocol", "usmDESPrivProtocol"),
     (SECURE, "usmHMAC192SHA256AuthProtocol", "usmAesCfb128Protocol"),
     (USERS[7], "usmHMAC384SHA512AuthProtocol", "usmAesBlumenthalCfb256Protocol"),
     (User("reeder", "SHA-1", A, "AES-256", P, "reeder"), "usmHMACSHAAuthProtocol", "usmAesCfb256Protocol")],
    ids=str,
)  # fmt: skip
async def test_pysnmp_walks_ours(table, user, auth, privacy):
    hlapi = pytest.importorskip("pysnmp.hlapi.v3arch.asyncio", reason="pysnmp is not installed")
    async with Responder(table, users=[user]) as device:
        data = hlapi.UsmUserData(user.name, A, P, getattr(hlapi, auth), getattr(hlapi, privacy))
        transport = await hlapi.UdpTransportTarget.create(("127.0.0.1", device.port), timeout=5)
        engine = hlapi.SnmpEngine()
        names = []
        async for error, status, _, rows in hlapi.bulk_walk_cmd(
            engine, data, transport, hlapi.ContextData(), 0, 25,
            hlapi.ObjectType(hlapi.ObjectIdentity("1.3.6.1.2.1.2")), lookupMib=False,
            lexicographicMode=False,
        ):  # fmt: skip
            assert not error
            assert not status
            names += [str(name) for name, _ in rows]
        engine.close_dispatcher()
    assert len(names) == len(table) - 1


async def test_a_reader_may_not_write_and_a_writer_may(client, table):
    async with Responder(table, users=[SECURE], on_set=lambda *_: 0) as device:
        target = as_user(Target("127.0.0.1", device.port), SECURE)
        with pytest.raises(ErrorStatus, match="noAccess"):
            await client.set(target, [(UPTIME, tags.TIMETICKS, 0)])


async def test_a_request_below_the_level_of_its_user_is_refused(client, table):
    async with Responder(table, users=[SECURE]) as device:
        bare = as_user(Target("127.0.0.1", device.port), User(SECURE.name))
        with pytest.raises(SecurityReport, match="unsupportedSecLevels"):
            await client.get(bare, [UPTIME])


async def test_replies_of_version_3_reach_65507_bytes(client, table):
    table.update({f"1.3.6.1.4.1.9.{n}": (tags.OCTET_STRING, b"x" * 1_200) for n in range(60)})
    async with Responder(table, users=[SECURE], max_reply_bytes=65_507) as device:
        target = as_user(Target("127.0.0.1", device.port, max_repetitions=60), SECURE)
        rows = await client.get_bulk(target, ["1.3.6.1.4.1.9"])
    assert 50 < len(rows) < 60


class FrozenEngine(LocalEngine):
    """An engine whose time stands still, as that of some devices does."""

    @property
    def time(self) -> int:
        return 100


async def test_pitfall_a_frozen_engine_time_recovers_after_every_window(client, table):
    async with Responder(table, users=[SECURE], engine=FrozenEngine()) as device:
        target = as_user(Target("127.0.0.1", device.port), SECURE)
        for _ in range(3):
            assert await client.get(target, [UPTIME])
            _pass_time(client, device, 1_000)
        assert device.authority.refused_counts["notInTimeWindows"] == 2


async def test_pitfall_a_reply_that_is_late_by_its_own_clock_is_asked_for_again(client, table):
    """A device that takes our time but answers with a clock that stands still."""
    async with Responder(table, users=[SECURE], engine=TolerantEngine()) as device:
        target = as_user(Target("127.0.0.1", device.port), SECURE)
        for _ in range(3):
            assert await client.get(target, [UPTIME])
            _pass_time(client, device, 1_000)


class TolerantEngine(FrozenEngine):
    def is_timely(self, boots: int, seconds: int) -> bool:
        return True


async def test_pitfall_boots_stuck_at_one_after_a_reboot_recover(client, table):
    """The clock goes back: the authentic report on our own request sets it, forwards or not."""
    async with Responder(table, users=[SECURE]) as device:
        target = as_user(Target("127.0.0.1", device.port), SECURE)
        device.authority.engine.booted_at -= 100_000
        await client.get(target, [UPTIME])
        device.authority.engine.booted_at += 100_000
        assert await client.get(target, [UPTIME])
        assert device.authority.refused_counts["notInTimeWindows"] == 1


async def test_pitfall_boots_and_time_of_zero_are_followed(client, table):
    async with Responder(table, users=[SECURE], engine=LocalEngine(boots=0)) as device:
        assert await client.get(as_user(Target("127.0.0.1", device.port), SECURE), [UPTIME])


async def test_pitfall_a_new_engine_id_is_discovered_within_the_request(client, table):
    async with Responder(table, users=[SECURE]) as device:
        target = as_user(Target("127.0.0.1", device.port), SECURE)
        await client.get(target, [UPTIME])
        device.authority.engine = LocalEngine()
        assert await client.get(target, [UPTIME])
        assert device.authority.refused_counts["unknownEngineIDs"] == 3


async def test_pitfall_a_device_that_refuses_for_ever_makes_no_storm(client, table):
    async with Responder(table, users=[SECURE]) as device:
        device.authority.engine.boots = 2**31 - 1
        with pytest.raises(SecurityReport, match="notInTimeWindows"):
            await client.get(as_user(Target("127.0.0.1", device.port), SECURE), [UPTIME])
        assert device.requests_count == 4


async def test_pitfall_duplicate_engine_ids_do_not_lock_each_other_out_and_are_told(table, seen, client):
    """Clones with clocks far apart: state is kept per address, never per engine id alone."""
    young, old = LocalEngine(b"\x80\0\0\0\5clone"), LocalEngine(b"\x80\0\0\0\5clone", 7)
    old.booted_at -= 10**6
    async with (
        Responder(table, users=[SECURE], engine=young) as first,
        Responder(table, users=[SECURE], engine=old) as second,
    ):
        for device in (first, second, first, second):
            await client.get(as_user(Target("127.0.0.1", device.port), SECURE), [UPTIME])
        assert first.authority.refused_counts + second.authority.refused_counts == {"unknownEngineIDs": 2}
    [twin] = client.take_duplicates()
    assert (twin.engine_id, twin.second) == (young.id.hex(), ("127.0.0.1", second.port))
    assert client.take_duplicates() == []


async def test_a_duplicate_engine_id_becomes_an_event(table, seen, client, monkeypatch):
    monkeypatch.setenv("AUTH", A)
    monkeypatch.setenv("PRIVACY", P)
    user = {"name": SECURE.name, "auth": "SHA-256", "auth_phrase_env": "AUTH",
            "privacy": "AES-128", "privacy_phrase_env": "PRIVACY"}  # fmt: skip
    async with (
        Responder(table, users=[SECURE], engine=LocalEngine(b"\x80\0\0\0\5clone")) as first,
        Responder(table, users=[SECURE], engine=LocalEngine(b"\x80\0\0\0\5clone")) as second,
    ):
        for device in (first, second):
            stated = {"asset": f"ups-{device.port}", "address": f"127.0.0.1:{device.port}", "version": "3"}
            config = convert({**stated, "user": user, "profile": "generic"}, DeviceConfig)
            await DeviceWatch(client, config, 1.0, "agent", built_in_profiles(), seen).poll_once()
    [told] = seen.of(InputRejected)
    assert told.source == f"snmp:ups-{second.port}"
    assert "engine id is also that of" in told.reason


async def test_pitfall_a_restart_is_not_a_discovery_of_every_device(table):
    async with Responder(table, users=[SECURE]) as device:
        target = as_user(Target("127.0.0.1", device.port), SECURE)
        async with SnmpClient() as first:
            await first.get(target, [UPTIME])
            known = first.export()
        asked_count = device.requests_count
        async with SnmpClient(known=known) as second:
            await second.get(target, [UPTIME])
        assert device.requests_count == asked_count + 1


async def test_many_first_requests_share_one_discovery(client, table):
    async with Responder(table, users=[SECURE]) as device, asyncio.TaskGroup() as group:
        target = as_user(Target("127.0.0.1", device.port), SECURE)
        for _ in range(20):
            group.create_task(client.get(target, [UPTIME]))
    assert device.authority.refused_counts == {"unknownEngineIDs": 1}


async def test_pitfall_a_wrong_key_is_named_and_no_dead_device(client, scripted, table):
    """Pitfall: "agent down" hides that somebody answers with a wrong key."""
    honest = Responder(table, users=[SECURE])

    def forge(data):
        reply = bytearray(honest.answer(data) or b"")
        if decode_secure(data).level:
            reply[-1] ^= 1
        return [bytes(reply)]

    device = await scripted(forge)
    target = as_user(Target("127.0.0.1", device.port, retries=0), SECURE)
    with pytest.raises(NotAuthentic, match="code of a reply is wrong"):
        await client.get(structs.replace(target, timeout_seconds=0.3), [UPTIME])
    assert client.counts.unauthentic_replies == 1


def _pass_time(client, device, seconds):
    """As if that long had gone by on our side."""
    client._exchanges.peers.state(("127.0.0.1", device.port)).engine.heard_at -= seconds
