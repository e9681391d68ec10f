"""Objects asked for beside the rows of a table: a request less where a device can, nothing else where not."""

import time
from dataclasses import dataclass

import pytest
from msgspec import structs

from coldaisle.core.events.types import DeviceLost, SamplesRecorded
from coldaisle.integrations.snmp import DeviceConfig, Responder, Table, built_in_profiles, oid_text, tags
from coldaisle.integrations.snmp.beside import can_be_beside, oid_before
from coldaisle.integrations.snmp.device_watch import RELEARN_SECONDS, DeviceWatch
from coldaisle.integrations.snmp.learned import Memory
from coldaisle.integrations.snmp.message import decode, encode, encode_varbinds
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.poll import plan_for, poll
from coldaisle.integrations.snmp.target import Target

IF_NAME, IF_OCTETS = "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.31.1.1.1.6"
UPTIME, BOOTS = "1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.10.2.1.2.0"
GEN_ERR = 5
ROWS = 3
INTERFACES = {f"eth{index}" for index in range(1, ROWS + 1)}


def row(index):
    return {f"{IF_NAME}.{index}": (tags.OCTET_STRING, b"eth%d" % index),
            f"{IF_OCTETS}.{index}": (tags.COUNTER64, 1_000 * index)}  # fmt: skip


@pytest.fixture
def interfaces():
    rows = {UPTIME: (tags.TIMETICKS, 100), "1.3.6.1.2.1.1.5.0": (tags.OCTET_STRING, b"switch-1")}
    for index in range(1, ROWS + 1):
        rows |= row(index)
    return Table(rows)


@dataclass
class Watched:
    """A device under a watch, and what it was asked."""

    watching: DeviceWatch
    pdus: list
    refused: set
    seen: object

    async def poll(self):
        """The PDUs of one poll: tag, and non-repeaters where it is a GETBULK."""
        self.pdus.clear()
        await self.watching.poll_once()
        return list(self.pdus)

    @property
    def last(self):
        sample = self.seen.of(SamplesRecorded)[-1]
        assert sample.quality == "good"
        return dict(zip(sample.metrics, sample.values, strict=True))

    @property
    def names(self):
        return {name.split('"')[1] for name in self.last if name.startswith("if_in_octets_total")}


@pytest.fixture
def watched(client, seen, scripted, interfaces):
    """Starts a device that hears its GETBULKs as ``hears`` makes them; None for silence."""

    async def start(hears=lambda shell, varbinds: (shell, varbinds), memory=None, **settings):
        inner, pdus, refused = Responder(interfaces), [], set()

        def script(data):
            shell, varbinds = decode(data)
            is_bulk = shell.pdu == tags.GET_BULK
            pdus.append((shell.pdu, shell.error_status if is_bulk else 0))
            heard = hears(shell, varbinds) if is_bulk and shell.error_status else (shell, varbinds)
            heard = refuses(shell, varbinds) if shell.pdu in refused else heard
            return [] if heard is None else [answer(inner, *heard)]

        device = await scripted(script)
        config = DeviceConfig("switch-1", f"127.0.0.1:{device.port}", profile="if_mib", **settings)
        watching = DeviceWatch(client, config, 10.0, "agent-1", built_in_profiles(), seen, memory)
        return Watched(watching, pdus, refused, seen)

    return start


def answer(inner, shell, varbinds):
    request = (shell.pdu, shell.request_id, shell.error_status, shell.error_index, encode_varbinds(varbinds))
    if shell.pdu == tags.RESPONSE:
        return encode(shell.community, *request)
    return inner.answer(encode(shell.community, *request, version=shell.version))


def ignores_non_repeaters(shell, varbinds):
    return structs.replace(shell, error_status=0), varbinds


def answers_with_a_neighbour(shell, varbinds):
    first = (encode_oid(UPTIME), tags.NULL, None)
    return shell, [first, *varbinds[1:]]


def refuses(shell, varbinds):
    return structs.replace(shell, pdu=tags.RESPONSE, error_status=GEN_ERR, error_index=1), varbinds


def answers_single_objects_only(shell, varbinds):
    return structs.replace(shell, error_index=0), varbinds


def is_silent(shell, varbinds):
    return None


async def test_a_usual_round_asks_for_the_objects_beside_the_rows(watched):
    device = await watched()
    assert (tags.GET, 0) in await device.poll()
    for _ in range(3):
        assert await device.poll() == [(tags.GET_BULK, 1)]
        assert device.names == INTERFACES
        assert device.last["uptime_seconds"] == 1.0


@pytest.mark.parametrize(
    "hears",
    [ignores_non_repeaters, answers_with_a_neighbour, refuses, answers_single_objects_only, is_silent],
)
async def test_pitfall_a_device_that_cannot_be_asked_so_is_asked_apart(watched, hears):
    device = await watched(hears, timeout_seconds=0.05, retries=0)
    for _ in range(2):
        await device.poll()
        assert device.names == INTERFACES
    for _ in range(3):
        assert await device.poll() == [(tags.GET, 0), (tags.GET_BULK, 0)]
        assert device.names == INTERFACES
        assert device.last["uptime_seconds"] == 1.0
    assert device.seen.of(DeviceLost) == []


async def test_pitfall_a_device_that_cannot_be_asked_so_is_not_tried_for_ever(watched, interfaces):
    device = await watched(refuses)
    for index in range(ROWS + 1, ROWS + 11):  # each new row makes a plan anew
        interfaces.update(row(index))
        for _ in range(3):
            await device.poll()
    interfaces.update(row(99))
    for _ in range(3):
        assert {non_repeaters for _, non_repeaters in await device.poll()} == {0}
        assert "eth99" in device.names


async def test_pitfall_a_round_that_is_partial_for_being_asked_twice_is_not_repeated(watched):
    device = await watched(is_silent, timeout_seconds=0.05, retries=0)
    await device.poll()
    device.refused.add(tags.GET)
    await device.poll()
    assert device.seen.of(SamplesRecorded)[-1].quality == "partial"
    assert await device.poll() == [(tags.GET, 0), (tags.GET_BULK, 0)]


async def test_a_row_that_appears_is_told_in_the_same_poll_and_asked_for_beside_the_objects(
    watched, interfaces
):
    device = await watched()
    for _ in range(3):
        await device.poll()
    interfaces.update(row(ROWS + 1))
    assert (tags.GET, 0) not in await device.poll()
    assert device.names == {*INTERFACES, f"eth{ROWS + 1}"}
    await device.poll()
    assert await device.poll() == [(tags.GET_BULK, 1)]


async def test_rows_that_are_gone_are_taken_for_gone_when_they_are_asked_for_apart(watched, interfaces):
    device = await watched()
    for _ in range(3):
        await device.poll()
    interfaces.remove(row(ROWS))
    assert (tags.GET, 0) in await device.poll()
    assert device.names == INTERFACES - {f"eth{ROWS}"}
    await device.poll()
    assert await device.poll() == [(tags.GET_BULK, 1)]


async def test_a_restart_between_two_usual_rounds_is_a_gap_in_the_rates(watched, interfaces):
    device = await watched()
    interfaces.update({UPTIME: (tags.TIMETICKS, 2**31)})
    for _ in range(3):
        await device.poll()
    rate = 'if_in_octets_per_second{interface="eth1"}'
    assert device.last[rate] == 0.0
    interfaces.update({UPTIME: (tags.TIMETICKS, 50), f"{IF_OCTETS}.1": (tags.COUNTER64, 5_000)})
    assert await device.poll() == [(tags.GET_BULK, 1)]
    assert device.last[rate] is None
    assert (tags.GET, 0) in await device.poll()


@pytest.mark.parametrize("ago_seconds", [2 * RELEARN_SECONDS, -10 * 365 * 86_400])
async def test_an_object_that_a_device_has_by_now_is_found_when_all_are_asked_for_again(
    watched, interfaces, ago_seconds
):
    """What was learned by a clock that was years ahead is old, too."""
    memory = Memory()
    device = await watched(memory=memory)
    for _ in range(3):
        await device.poll()
    interfaces.update({BOOTS: (tags.INTEGER, 3)})
    for _ in range(2):
        assert (tags.GET, 0) not in await device.poll()
    long_ago = time.time_ns() - int(ago_seconds * 1e9)
    memory.learn("switch-1", structs.replace(memory.of("switch-1"), learned_at=long_ago))
    assert (tags.GET, 0) in await device.poll()
    await device.poll()
    assert await device.poll() == [(tags.GET_BULK, 2)]


@pytest.mark.parametrize("settings", [{"version": "1"}, {"get_next_only": True}])
async def test_a_device_without_get_bulk_is_asked_apart(watched, settings):
    device = await watched(**settings)
    for _ in range(4):
        pdus = {pdu for pdu, _ in await device.poll()}
        assert tags.GET in pdus
        assert tags.GET_BULK not in pdus
        assert device.last["uptime_seconds"] == 1.0


async def test_the_time_of_a_round_is_when_the_device_told_how_long_it_runs(client, interfaces):
    async with Responder(interfaces) as played:
        target = Target("127.0.0.1", played.port)
        plan = plan_for(built_in_profiles()["if_mib"])
        plan = structs.replace(plan, beside=(encode_oid(UPTIME),), row_counts=(ROWS,))
        began = time.time_ns()
        found = await poll(client, target, plan, 5.0)
    assert not found.is_apart
    assert began < found.time < time.time_ns()
    assert found.life.uptime_ticks == 100


@pytest.mark.parametrize(
    ("oid", "before"),
    [(UPTIME, "1.3.6.1.2.1.1.3"), ("1.3.6.1.4.1.318.1.1.1", "1.3.6.1.4.1.318.1.1.0"),
     ("1.3.6.1.4.1.318.127", "1.3.6.1.4.1.318.126")],
)  # fmt: skip
def test_an_object_is_asked_for_by_what_is_before_it(oid, before):
    assert can_be_beside([encode_oid(oid)])
    assert oid_text(oid_before(encode_oid(oid))) == before


def test_an_object_whose_number_takes_several_octets_is_not_asked_for_beside_others():
    assert not can_be_beside([encode_oid(UPTIME), encode_oid("1.3.6.1.4.1.318.128")])
