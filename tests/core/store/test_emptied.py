"""A batch of which retention left nothing keeps one seal, and whatever is done to that is found."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import apsw
import pytest

from coldaisle.core.errors import StoreError
from coldaisle.core.events import NewEvent
from coldaisle.core.store import Append
from coldaisle.core.store import export as export_module
from coldaisle.core.store.backup_check import quick_check, thorough_check
from coldaisle.core.store.chain import REMOVED, emptied_seal, event_digest, removal_record
from coldaisle.core.store.chain_archive import verify_archive
from coldaisle.core.store.chain_culprit import chained_digests
from coldaisle.core.store.chain_keys import (
    ChainKeys,
    add_chain_key,
    load_chain_keys,
    load_or_make_chain_keys,
    new_chain_keys,
)
from coldaisle.core.store.chain_verify import Verified, verify_chain
from coldaisle.core.store.checkpoints import Checkpoint, add_signing_key, checkpoint_at, load_signing_key
from coldaisle.core.store.export import export
from coldaisle.core.store.retention import scavenge, set_retention
from coldaisle.core.store.retention_deleted import scavenge_deleted
from coldaisle.core.store.salvage import salvage
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import Batch, batches, emptied

SCRIPT = Path(__file__).parents[3] / "tools" / "verify_export.py"
SEEDS = 200 if os.environ.get("COLDAISLE_SOAK") else 12
BATCHES = 40
FAR = 1 << 62


def new(number: int, data: bytes = b"{}") -> NewEvent:
    return NewEvent(number.to_bytes(16), "Test", 1, number, "tester", data)


async def fill(path: Path, keys: ChainKeys, source: random.Random, start: int = 1) -> int:
    """Batches of up to twelve polls, every third with a fact or a log among them; the last position."""
    number = start
    async with SqliteStore(path, chain=keys) as store:
        for batch in range(BATCHES):
            size = source.randint(1, 12)
            polls = [new(n) for n in range(number, number + size)]
            appends = [Append(f"telemetry-{source.randint(1, 3)}", polls)]
            number += size
            if batch % 3 == 0:
                appends.append(Append(source.choice(["run-1", "logs-1"]), [new(number)]))
                number += 1
            await store.append_many(appends)
    return number - 1


async def apply_retention(path: Path, keys: ChainKeys, archive_folder: Path | None = None) -> None:
    async with SqliteStore(path, chain=keys) as store:
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), now=FAR, archive_folder=archive_folder)


async def verified(path: Path, keys: ChainKeys, *against: Checkpoint) -> Verified:
    async with SqliteStore(path, read_only=True) as store:
        found = await verify_chain(store, keys, against=against)
        return found if found.fault else await verify_archive(store, keys, found)


def verify(folder: Path) -> tuple[int, str]:
    """What the script says of an export, with both keys."""
    keys = [
        "--public-key",
        str(folder.parent / "signing.pub"),
        "--chain-key",
        str(folder.parent / "chain.key"),
    ]
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(folder), *keys]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def look(path: Path) -> list[Batch]:
    connection = apsw.Connection(str(path))
    try:
        return list(batches(connection, -1))
    finally:
        connection.close()


def edit(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    connection = apsw.Connection(str(path))
    for statement, values in statements:
        connection.execute(statement, values).fetchall()  # type: ignore[arg-type]  # SQLite's own types
    connection.close()


async def history(path: Path, source: random.Random, archive: bool = False) -> ChainKeys:
    """Two keys' worth of batches, the polls removed by retention, or archived."""
    keys_file = path.with_suffix(".key")
    load_or_make_chain_keys(keys_file)
    last = await fill(path, load_chain_keys(keys_file), source)
    add_chain_key(keys_file)
    await fill(path, load_chain_keys(keys_file), source, last + 1)
    folder = path.parent / "archive" if archive else None
    await apply_retention(path, load_chain_keys(keys_file), folder)
    return load_chain_keys(keys_file)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_batch_of_which_nothing_is_left_keeps_one_seal(seed: int, tmp_path: Path) -> None:
    path, source = tmp_path / "events.db", random.Random(seed)
    keys, key = new_chain_keys(), add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    head = await fill(path, keys, source)
    before = look(path)
    async with SqliteStore(path, read_only=True) as store:
        published = [
            await store.inspect(partial(checkpoint_at, key=key, position=each.last_position))
            for each in before
        ]
    await apply_retention(path, keys)
    async with SqliteStore(path, read_only=True) as store:
        there = {event.position for event in (await store.read_all()).events}
        removed = await store.inspect(lambda c: [row[0] for row in c.execute("SELECT position FROM removed")])
    left = {n for n in range(1, head + 1) if n not in there}
    for was, now in zip(before, look(path), strict=True):
        positions = set(range(was.first_position, was.last_position + 1))
        assert (now.first_position, now.last_position, now.hash) == (
            was.first_position, was.last_position, was.hash,
        )  # fmt: skip
        if positions & there:
            assert (now.digests, now.emptied_from) == (was.digests, None)
        else:
            assert (len(now.digests), now.emptied_from) == (32, was.first_position)
            left -= positions
    assert sorted(left) == removed
    assert len(removed) < head - len(there)
    found = await verified(path, keys, *published)
    assert (found.fault, found.position, found.events, found.removed) == (
        None, head, len(there), head - len(there),
    )  # fmt: skip
    assert (quick_check(path), thorough_check(path)) == ([], [])


async def test_a_batch_may_be_emptied_by_several_categories_and_by_deletion(tmp_path: Path) -> None:
    path, keys = tmp_path / "events.db", new_chain_keys()
    async with SqliteStore(path, chain=keys) as store:
        for number in range(1, 10, 3):
            await store.append_many([
                Append("telemetry-1", [new(number)]), Append("logs-1", [new(number + 1)]),
                Append("run-1", [new(number + 2)]),
            ])  # fmt: skip
        await store.append("run-2", [new(99)])
        await store.delete_stream("run-1")
        for category in ("telemetry", "logs"):
            await set_retention(store, category, 0)
        await scavenge(store, covered_by=(), now=FAR)
        assert await store.inspect(lambda c: list(emptied(c))) == []
        await scavenge_deleted(store, covered_by=())
        assert await store.inspect(lambda c: list(emptied(c))) == [(1, 3), (4, 6), (7, 9)]
        assert await store.inspect(lambda c: list(emptied(c, 5, 7))) == [(4, 6), (7, 9)]
    found = await verified(path, keys)
    assert (found.fault, found.events, found.removed) == (None, 1, 9)
    assert (quick_check(path), thorough_check(path)) == ([], [])


def tamper(path: Path, victim: Batch, other: Batch, source: random.Random) -> None:
    """Something to one of two emptied batches, as who cannot make a seal would do it."""
    first, last = victim.first_position, victim.last_position
    put = "UPDATE batch SET {} = ? WHERE last_position = ?"
    flipped = bytearray(victim.digests)
    flipped[source.randrange(len(flipped))] ^= 1 << source.randrange(8)
    forged = emptied_seal(source.randbytes(32), REMOVED, bytes(32), first, last, victim.hash)
    kinds = [
        "seal",
        "stranger",
        "other",
        "from",
        "live",
        "hash",
        "row",
        "event",
        "type",
        "end",
        "less",
        "more",
    ]
    match source.choice(kinds):
        case "seal":
            edit(path, (put.format("digests"), (bytes(flipped), last)))
        case "stranger":
            edit(path, (put.format("digests"), (forged, last)))
        case "other":
            edit(path, (put.format("digests"), (other.digests, last)))
        case "from":
            off = source.choice([-(10**6), -first, 1 - first, -1, 1, 10**6, 1 << 62])
            edit(path, (put.format("emptied_from"), (first + off, last)))
        case "live":
            edit(path, (put.format("emptied_from"), (None, last)))
        case "hash":
            edit(path, (put.format("hash"), (source.randbytes(32), last)))
        case "row":
            edit(path, ("DELETE FROM batch WHERE last_position = ?", (last,)))
        case "event":
            at = source.randint(first, last)
            copy = (
                "SELECT ?, stream_id, ?, ?, type, schema, time, recorded, actor, data, NULL, NULL FROM event"
            )
            edit(path, (f"INSERT INTO event {copy} LIMIT 1", (at, 10**6, source.randbytes(16))))
        case "less":
            edit(path, (put.format("digests"), (victim.digests[:-32], last)))
        case "more":
            edit(path, (put.format("digests"), (bytes(32) + victim.digests, last)))
        case "type":
            edit(path, (put.format("digests"), ("text", last)))
        case _:
            edit(path, (put.format("last_position"), (last + 10**6, last)))


@pytest.mark.parametrize("seed", range(2 * SEEDS))
async def test_whatever_is_done_to_an_emptied_batch_is_found(seed: int, tmp_path: Path) -> None:
    path, source = tmp_path / "events.db", random.Random(seed)
    keys = await history(path, source, source.random() < 0.5)
    found = await verified(path, keys)
    assert found.fault is None
    gone = [batch for batch in look(path) if batch.emptied_from is not None and batch.last_position > 1]
    victim, other = source.sample(gone, 2)
    tamper(path, victim, other, source)
    fault = (await verified(path, keys)).fault
    assert fault is not None
    assert victim.first_position <= fault.position <= victim.last_position


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nobody_else_can_say_that_retention_emptied_a_batch(seed: int, tmp_path: Path) -> None:
    path, source = tmp_path / "events.db", random.Random(seed)
    keys = await history(path, source, source.random() < 0.5)
    victim = source.choice([batch for batch in look(path) if batch.emptied_from is None][:-1])
    other = source.choice([batch for batch in look(path) if batch.emptied_from is not None])
    first, last = victim.first_position, victim.last_position
    where = "WHERE position BETWEEN ? AND ?"
    edit(path, (f"DELETE FROM event {where}", (first, last)), (f"DELETE FROM removed {where}", (first, last)))
    for seal in (
        source.randbytes(32),
        other.digests,
        victim.digests[:32],
        victim.digests,
        victim.digests + other.seal,
        b"",
    ):
        values = (seal, first, last)
        edit(path, ("UPDATE batch SET digests = ?, emptied_from = ? WHERE last_position = ?", values))
        fault = (await verified(path, keys)).fault
        assert fault is not None
        assert (fault.position, fault.kind.value) == (first, "removed")


async def test_what_comes_before_an_emptied_batch_cannot_be_put_in_from_a_copy(tmp_path: Path) -> None:
    """A copy of the store goes its own way under the same key: its batch holds, but not before this seal."""
    path, copy, keys = tmp_path / "events.db", tmp_path / "copy.db", new_chain_keys()
    async with SqliteStore(path, chain=keys) as store:
        await store.append("run-1", [new(1)])
    copy.write_bytes(path.read_bytes())
    for each, actor in ((path, "tester"), (copy, "mallory")):
        async with SqliteStore(each, chain=keys) as store:
            event = NewEvent((2).to_bytes(16), "Test", 1, 2, actor, b"{}")
            await store.append("run-1", [event])
            await store.append("telemetry-1", [new(3)])
            await store.append("run-1", [new(4)])
    await apply_retention(path, keys)
    assert (await verified(path, keys)).fault is None
    edit(
        path,
        (f"ATTACH '{copy}' AS copy", ()),
        ("DELETE FROM event WHERE position = 2", ()),
        ("INSERT INTO event SELECT * FROM copy.event WHERE position = 2", ()),
        ("DELETE FROM batch WHERE last_position = 2", ()),
        ("INSERT INTO batch SELECT * FROM copy.batch WHERE last_position = 2", ()),
    )
    fault = (await verified(path, keys)).fault
    assert fault is not None
    assert fault.position == 3


async def test_a_key_that_was_replaced_seals_nothing_that_came_after_it(tmp_path: Path) -> None:
    """Else whoever stole it could go on removing events, also from below a checkpoint."""
    path, file = tmp_path / "events.db", tmp_path / "chain.key"
    old = load_or_make_chain_keys(file)
    async with SqliteStore(path, chain=old) as store:
        await store.append("run-1", [new(1)])
    add_chain_key(file)
    keys, stolen = load_chain_keys(file), old[old.current]
    async with SqliteStore(path, chain=keys) as store:
        for number in (2, 4, 6):
            await store.append("telemetry-1", [new(number), new(number + 1)])
        record = removal_record(stolen, REMOVED, 2, event_digest((await store.read_all()).events[1]))
    previous, victim = look(path)[1:3]
    seal = emptied_seal(stolen, REMOVED, previous.hash, 4, 5, victim.hash)
    edit(
        path,
        ("DELETE FROM event WHERE position IN (4, 5)", ()),
        ("UPDATE batch SET digests = ?, emptied_from = 4 WHERE last_position = 5", (seal,)),
    )
    fault = (await verified(path, keys)).fault
    assert fault is not None
    assert (fault.position, fault.kind.value) == (4, "removed")
    edit(
        path,
        ("DELETE FROM event WHERE position = 2", ()),
        ("INSERT INTO removed VALUES(2, ?)", (record,)),
    )
    await apply_retention(path, keys)  # it removes 3, and does not vouch for what is said of 2
    fault = (await verified(path, keys)).fault
    assert fault is not None
    assert (fault.position, fault.kind.value) == (2, "removed")


async def test_an_event_that_somebody_took_out_is_not_sealed_with_the_rest(tmp_path: Path) -> None:
    path, keys = tmp_path / "events.db", new_chain_keys()
    async with SqliteStore(path, chain=keys) as store:
        await store.append("telemetry-1", [new(n) for n in range(1, 6)])
        await store.append("run-1", [new(6)])
        victim = (await store.read_all()).events[2]
    edit(
        path,
        ("DELETE FROM event WHERE position = 3", ()),
        ("INSERT INTO removed VALUES(3, ?)", (event_digest(victim) * 2,)),
    )
    await apply_retention(path, keys)
    assert look(path)[0].emptied_from is None
    fault = (await verified(path, keys)).fault
    assert fault is not None
    assert fault.position == 3


async def test_a_batch_that_was_archived_keeps_its_digests_and_one_seal(tmp_path: Path) -> None:
    path, keys = tmp_path / "events.db", new_chain_keys()
    head = await fill(path, keys, random.Random(1))
    before = look(path)
    await apply_retention(path, keys, tmp_path / "archive")
    found = await verified(path, keys)
    assert (found.fault, found.events + found.archived, found.removed) == (None, head, found.archived)
    now = look(path)
    assert [len(each.digests) - len(was.digests) for was, each in zip(before, now, strict=True)] == [
        0 if each.emptied_from is None else 32 for each in now
    ]
    gone = [each for each in now if each.emptied_from is not None]
    assert len(gone) > BATCHES // 2
    assert all(each.digests.startswith(was.digests) for was, each in zip(before, now, strict=True))
    connection = apsw.Connection(str(path))
    assert dict(chained_digests(connection, 1, head))[gone[7].last_position] == gone[7].digests[-64:-32]
    connection.close()
    forged = bytes(32) + gone[7].digests[32:]  # the chain itself finds that, whatever the archive holds
    edit(path, ("UPDATE batch SET digests = ? WHERE last_position = ?", (forged, gone[7].last_position)))
    async with SqliteStore(path, read_only=True) as store:
        fault = (await verify_chain(store, keys)).fault
    assert fault is not None
    assert (fault.position, fault.kind.value) == (gone[7].first_position, "changed")


async def test_an_archived_event_of_an_emptied_batch_is_missed(tmp_path: Path) -> None:
    path, keys = tmp_path / "events.db", new_chain_keys()
    async with SqliteStore(path, chain=keys) as store:
        await store.append("telemetry-1", [new(n) for n in range(1, 6)])
        await store.append("run-1", [new(6)])
    await apply_retention(path, keys, tmp_path / "archive")
    assert (await verified(path, keys)).archived == 5
    edit(path, ("DELETE FROM segment", ()))
    fault = (await verified(path, keys)).fault
    assert fault is not None
    assert (fault.position, fault.kind.value) == (1, "removed")


@pytest.mark.parametrize("archive", [False, True])
async def test_an_emptied_history_is_exported_with_its_proof(archive: bool, tmp_path: Path) -> None:
    path = tmp_path / "chain.db"  # its key is chain.key, which the script is given
    await history(path, random.Random(3), archive)
    add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    async with SqliteStore(path, read_only=True) as store:
        done = await export(
            store, tmp_path / "out", 5, await store.head() - 5, load_signing_key(tmp_path / "signing.key")
        )
    code, says = verify(tmp_path / "out")
    assert code == 0, says
    assert f"removed by retention: {done.removed} events" in says
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    gone = [batch for batch in manifest["batches"] if "emptied_from" in batch]
    assert len(gone) > 10
    for at, field, value in (
        (1, "digests", gone[2]["digests"]),
        (2, "emptied_from", gone[2]["emptied_from"] - 1),
        (3, "emptied_from", gone[3]["emptied_from"] + 1),
        (4, "hash", gone[5]["hash"]),
        (5, "emptied_from", 1 << 60),
    ):
        was, gone[at][field] = gone[at][field], value
        forge(tmp_path, manifest)
        code, says = verify(tmp_path / "out")
        assert (code, says.startswith("BROKEN")) == (8, True)
        gone[at][field] = was
    forge(tmp_path, manifest)
    assert verify(tmp_path / "out")[0] == 0


def forge(folder: Path, manifest: dict[str, object]) -> None:
    """By somebody who has the signing key, and not the chain's."""
    manifest.pop("signature")
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["signature"] = load_signing_key(folder / "signing.key").sign(text.encode())
    (folder / "out" / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(("at", "batch_events", "fails"), [(10, 20, False), (10, 15, True), (20, 40, True)])
async def test_retention_may_empty_batches_beside_an_export(
    at: int, batch_events: int, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was exported of a batch has no proof once all of it is gone: then nothing is exported."""
    monkeypatch.setattr(export_module, "STEP_EVENTS", 10)
    path, keys = tmp_path / "events.db", load_or_make_chain_keys(tmp_path / "chain.key")
    async with SqliteStore(path, chain=keys) as store:
        await store.append("run-1", [new(n) for n in range(1, 11)])
        for start in range(11, 51, batch_events):
            await store.append("telemetry-1", [new(n) for n in range(start, start + batch_events)])
        await store.append("run-1", [new(60 + n) for n in range(10)])
        head = await store.head()

    def remove_meanwhile(position: int, _: int) -> None:
        if position == (at if not fails else 20):
            retention = threading.Thread(target=asyncio.run, args=(apply_retention(path, keys),))
            retention.start()
            retention.join()

    key = add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    async with SqliteStore(path, read_only=True) as store:
        if fails:
            with pytest.raises(StoreError, match="export again"):
                await export(store, tmp_path / "out", 1, head, key, remove_meanwhile)
            assert not (tmp_path / "out").exists()
            return
        done = await export(store, tmp_path / "out", 1, head, key, remove_meanwhile)
    assert (done.events, done.removed) == (20, head - 20)
    code, says = verify(tmp_path / "out")
    assert code == 0, says


@pytest.mark.parametrize("archive", [False, True])
async def test_an_emptied_history_is_salvaged_whole(archive: bool, tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    keys = await history(path, random.Random(5), archive)
    before = await verified(path, keys)
    done = salvage(path, tmp_path / "saved.db")
    assert (done.events, done.lost, done.altered_events) == (before.events, (), 0)
    assert await verified(tmp_path / "saved.db", keys) == before
    assert (quick_check(tmp_path / "saved.db"), thorough_check(tmp_path / "saved.db")) == ([], [])


async def test_a_file_of_the_schema_before_is_salvaged_and_migrated(tmp_path: Path) -> None:
    path, keys = tmp_path / "events.db", new_chain_keys()
    head = await fill(path, keys, random.Random(6))
    edit(
        path,
        ("DROP INDEX batch_emptied", ()),
        ("ALTER TABLE batch DROP COLUMN emptied_from", ()),
        ("PRAGMA user_version = 3", ()),
    )
    done = salvage(path, tmp_path / "saved.db")
    assert (done.events, done.lost, done.unreadable_tables) == (head, (), ())
    assert (await verified(tmp_path / "saved.db", keys)).fault is None
    await apply_retention(path, keys)
    found = await verified(path, keys)
    assert (found.fault, found.events + found.removed) == (None, head)
    assert len(list(emptied(apsw.Connection(str(path))))) > BATCHES // 3
