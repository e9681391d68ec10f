"""The hash chain: whatever is done to the file behind its back is found, where it is and what it is."""

import asyncio
import os
import random
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from coldaisle.core.errors import ChainKeyUnusable, CheckpointInvalid, StoreError, StoreUnreadable
from coldaisle.core.events import NewEvent
from coldaisle.core.store import Append, chain_verify
from coldaisle.core.store.chain import REMOVED, event_digest, removal_record
from coldaisle.core.store.chain_keys import (
    ChainKeys,
    add_chain_key,
    load_chain_keys,
    load_or_make_chain_keys,
    new_chain_keys,
)
from coldaisle.core.store.chain_verify import Kind, Verified, verify_chain
from coldaisle.core.store.checkpoints import (
    Checkpoint,
    SigningKey,
    add_signing_key,
    decode_checkpoint,
    encode_checkpoint,
    load_public_keys,
    load_signing_key,
    make_checkpoint,
)
from coldaisle.core.store.retention_marks import remove_events
from coldaisle.core.store.sqlite import SqliteStore

SEEDS = 200 if os.environ.get("COLDAISLE_SOAK") else 12
EVENTS = 150
KEYS = new_chain_keys()
_APART = 1 << 40  # where rows wait while others move


def new(number: int, data: bytes = b"{}") -> NewEvent:
    return NewEvent(number.to_bytes(16), "Test", 1, number, "tester", data)


async def fill(path: Path, source: random.Random, keys: ChainKeys = KEYS, start: int = 1) -> None:
    """Batches of 1 to 12 events over three streams."""
    number = start
    async with SqliteStore(path, chain=keys) as store:
        while number < start + EVENTS:
            size = source.randint(1, 12)
            events = [new(n, b'{"n":%d}' % n) for n in range(number, min(number + size, start + EVENTS))]
            half = len(events) // 2
            parts = (Append(f"run-{source.randint(1, 3)}", events[:half]), Append("run-9", events[half:]))
            await store.append_many([part for part in parts if part.events])
            number += size


async def verified(path: Path, keys: ChainKeys = KEYS, *against: Checkpoint) -> Verified:
    async with SqliteStore(path, read_only=True) as store:
        return await verify_chain(store, keys, against=against)


def edit(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("DROP INDEX event_by_stream")
    for statement, values in statements:
        connection.execute(statement, values).fetchall()  # type: ignore[arg-type]  # SQLite's own types
    connection.close()


def change(path: Path, at: int, source: random.Random) -> None:
    column, value = source.choice([
        ("data", b"{}"), ("actor", "mallory"), ("type", "Other"), ("time", 7), ("recorded", 7),
        ("correlation_id", b"c" * 16), ("causation_id", b"c" * 16), ("id", b"i" * 16), ("schema", 2),
        ("stream_id", 99), ("version", 4711),
    ])  # fmt: skip
    edit(path, (f"UPDATE event SET {column} = ? WHERE position = ?", (value, at)))


def remove(path: Path, at: int, source: random.Random) -> None:
    statements = [("DELETE FROM event WHERE position = ?", (at,))]
    if source.random() < 0.5:  # and close the gap
        statements += shift(at, -1)
    edit(path, *statements)


def insert(path: Path, at: int, source: random.Random) -> None:
    copy = "SELECT ?, stream_id, version, ?, type, schema, time, recorded, actor, data, NULL, NULL FROM event"
    edit(path, *shift(at - 1, 1), (f"INSERT INTO event {copy} LIMIT 1", (at, source.randbytes(16))))


def swap(path: Path, at: int, source: random.Random) -> None:
    other = source.randint(at + 1, EVENTS - 1)
    move = "UPDATE event SET position = ? WHERE position = ?"
    edit(path, (move, (_APART, at)), (move, (at, other)), (move, (other, _APART)))


def truncate(path: Path, at: int, source: random.Random) -> None:
    edit(path, ("DELETE FROM event WHERE position >= ?", (at,)))


def shift(after: int, by: int) -> list[tuple[str, tuple[int, ...]]]:
    """Move all that stands after the position."""
    return [
        ("UPDATE event SET position = position + ? WHERE position > ?", (_APART, after)),
        ("UPDATE event SET position = position - ? WHERE position >= ?", (_APART - by, _APART)),
    ]


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (change, Kind.CHANGED),
        (remove, Kind.REMOVED),
        (insert, Kind.INSERTED),
        (swap, Kind.REORDERED),
        (truncate, Kind.TRUNCATED),
    ],
)
async def test_tampering_is_found_where_it_is(
    tamper: Callable[[Path, int, random.Random], None], kind: Kind, seed: int, tmp_path: Path
) -> None:
    path, source = tmp_path / "events.db", random.Random(seed)
    await fill(path, source)
    whole = await verified(path)
    assert (whole.first_position, whole.position, whole.events, whole.fault) == (1, EVENTS, EVENTS, None)
    at = source.randint(2, EVENTS - 2)
    tamper(path, at, source)
    fault = (await verified(path)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (at, kind)


async def test_events_appended_behind_the_chain_are_found(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    copy = "SELECT 151, stream_id, 4711, ?, type, schema, time, recorded, actor, data, NULL, NULL FROM event"
    edit(path, (f"INSERT INTO event {copy} LIMIT 1", (b"x" * 16,)))
    fault = (await verified(path)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (151, Kind.INSERTED)


async def test_events_before_the_first_position_are_found(tmp_path: Path) -> None:
    """Nobody walks there, but who reads a stream by its versions meets them."""
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    copy = "SELECT -5, stream_id, 4711, ?, type, schema, time, recorded, actor, data, NULL, NULL FROM event"
    edit(path, (f"INSERT INTO event {copy} LIMIT 1", (b"x" * 16,)))
    fault = (await verified(path)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (-5, Kind.INSERTED)


async def test_events_between_two_positions_are_found(tmp_path: Path) -> None:
    """In a table without its key."""
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE other AS SELECT * FROM event")
    connection.execute("UPDATE other SET position = 10.5, id = x'aa' WHERE position = 30")
    connection.execute("INSERT INTO other SELECT * FROM event WHERE position = 30; DROP TABLE event")
    connection.execute("ALTER TABLE other RENAME TO event")
    connection.close()
    fault = (await verified(path)).fault
    assert fault is not None
    assert "table of events is another" in fault.says


async def test_events_of_a_second_stream_of_the_same_name_are_found(tmp_path: Path) -> None:
    """Who reads the stream gets those of the first."""
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE other AS SELECT * FROM stream; DROP TABLE stream")
    connection.execute("ALTER TABLE other RENAME TO stream")
    connection.execute("INSERT INTO stream SELECT 99, name, version, 0, 0 FROM stream WHERE name = 'run-9'")
    connection.execute("UPDATE event SET stream_id = 99 WHERE position = 70")
    connection.close()
    fault = (await verified(path)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (70, Kind.CHANGED)


async def test_a_view_in_the_place_of_a_table_is_not_read(tmp_path: Path) -> None:
    """It may show one history by day, and another while it is verified."""
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    connection = apsw.Connection(str(path))
    connection.execute("ALTER TABLE stream RENAME TO shown; CREATE VIEW stream AS SELECT * FROM shown")
    connection.close()
    with pytest.raises(StoreError, match="view"):
        await verified(path)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_an_edited_chain_does_not_hold_either(seed: int, tmp_path: Path) -> None:
    """Digests made anew to fit a changed event need the key; so does any other row of the chain."""
    path, source = tmp_path / "events.db", random.Random(seed)
    await fill(path, source)
    last, digests = source.choice(
        apsw.Connection(str(path)).execute("SELECT last_position, digests FROM batch").fetchall()
    )
    assert isinstance(last, int)
    assert isinstance(digests, bytes)
    first = last - len(digests) // 32 + 1
    at = source.randint(first, last)
    edit(path, ("UPDATE event SET actor = 'mallory' WHERE position = ?", (at,)))
    async with SqliteStore(path, read_only=True) as store:
        (event,) = (await store.read_all(after=at - 1, limit=1)).events
    forged = bytearray(digests)
    place = (at - first) * 32
    forged[place : place + 32] = event_digest(event)
    for statement, values in (
        ("UPDATE batch SET digests = ? WHERE last_position = ?", (bytes(forged), last)),
        ("UPDATE batch SET hash = ? WHERE last_position = ?", (source.randbytes(32), last)),
        ("DELETE FROM batch WHERE last_position = ?", (last,)),
    ):
        apsw.Connection(str(path)).execute(statement, values)
        fault = (await verified(path)).fault
        assert fault is not None
        assert first <= fault.position <= at


async def test_what_retention_removed_does_not_break_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    async with SqliteStore(path, chain=KEYS) as store:
        gone = [e for e in (await store.read_all()).events if e.position < 40 or e.position in (77, 150)]
        removals = [(e.position, store.removal_record(REMOVED, e.position, event_digest(e))) for e in gone]
        await store.maintain(lambda connection: remove_events(connection, removals))
        await store.append("run-1", [new(999)])
        found = await verify_chain(store, KEYS)
        assert (found.fault, found.events, found.removed, found.position) == (None, 110, 41, 151)
    edit(path, ("DELETE FROM removed WHERE position = 12", ()))
    fault = (await verified(path)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (12, Kind.REMOVED)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nobody_else_can_say_that_retention_removed_an_event(seed: int, tmp_path: Path) -> None:
    """Its digest is there to be read, and the seals of others; that of this event needs the key."""
    path, source = tmp_path / "events.db", random.Random(seed)
    await fill(path, source)
    async with SqliteStore(path, chain=KEYS) as store:
        first, *others = (await store.read_all()).events[:-1]
        victim = source.choice(others)
        record = store.removal_record(REMOVED, first.position, event_digest(first))
        await store.maintain(lambda connection: remove_events(connection, [(first.position, record)]))
        stranger = removal_record(source.randbytes(32), REMOVED, victim.position, event_digest(victim))
    digest = event_digest(victim)
    edit(path, ("DELETE FROM event WHERE position = ?", (victim.position,)))
    for forged in (digest, digest + record[32:], stranger, digest * 2, record, b""):
        connection = apsw.Connection(str(path))
        connection.execute("INSERT OR REPLACE INTO removed VALUES(?,?)", (victim.position, forged))
        connection.close()
        fault = (await verified(path)).fault
        assert fault is not None
        assert (fault.position, fault.kind) == (victim.position, Kind.REMOVED)


async def test_the_chain_is_verified_while_the_store_is_written(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db", chain=KEYS) as store:
        for number in range(1, 4_000, 100):
            await store.append("run-1", [new(n) for n in range(number, number + 100)])
        seen: list[tuple[int, int]] = []
        async with SqliteStore(store.path, read_only=True) as reader:
            found = await verify_chain(reader, KEYS, progress=lambda *at: seen.append(at))
        assert (found.fault, found.position, seen[-1]) == (None, 4_000, (4_000, 4_000))
        assert len(seen) > 1


async def test_a_history_rewritten_with_the_key_differs_from_its_checkpoint(tmp_path: Path) -> None:
    path, key = tmp_path / "events.db", add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    await fill(path, random.Random(1))
    async with SqliteStore(path, chain=KEYS) as store:
        published = encode_checkpoint(await make_checkpoint(store, key))
        store_id = await store.inspect(
            lambda c: c.execute("SELECT value FROM setting WHERE key='store_id'").get
        )
    checkpoint = decode_checkpoint(published, load_public_keys(tmp_path / "signing.pub"))
    assert (await verified(path, KEYS, checkpoint)).fault is None
    for events, kind in (
        (EVENTS, Kind.REWRITTEN),
        (EVENTS - 30, Kind.TRUNCATED),
        (EVENTS + 5, Kind.REWRITTEN),
    ):
        forged = tmp_path / f"forged-{events}.db"
        async with SqliteStore(forged) as store:  # who owns the machine has the key and the store's id
            await store.maintain(
                lambda c: c.execute("UPDATE setting SET value=? WHERE key='store_id'", (store_id,))
            )
        async with SqliteStore(forged, chain=KEYS) as store:
            await store.append("run-1", [new(n) for n in range(1, events + 1)])
        assert (await verified(forged)).fault is None
        fault = (await verified(forged, KEYS, checkpoint)).fault
        assert fault is not None
        assert fault.kind == kind


async def test_an_end_that_was_cut_off_cleanly_is_found_against_a_checkpoint(tmp_path: Path) -> None:
    """With its part of the chain gone as well, what is left is a whole history, only shorter."""
    path, key = tmp_path / "events.db", add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    await fill(path, random.Random(1))
    async with SqliteStore(path, read_only=True) as store:
        published = encode_checkpoint(await make_checkpoint(store, key))
    checkpoint = decode_checkpoint(published, load_public_keys(tmp_path / "signing.pub"))
    connection = apsw.Connection(str(path))
    end = connection.execute("SELECT max(last_position) FROM batch WHERE last_position < 100").get
    connection.execute("DELETE FROM batch WHERE last_position > ?", (end,))
    connection.execute("DELETE FROM event WHERE position > ?", (end,))
    connection.close()
    alone = await verified(path)
    assert (alone.fault, alone.position) == (None, end)
    fault = (await verified(path, KEYS, checkpoint)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (end + 1, Kind.TRUNCATED)


async def test_a_chain_that_was_taken_away_is_found_against_a_checkpoint(tmp_path: Path) -> None:
    """What is left says that all of it is older than the chain."""
    path, key = tmp_path / "events.db", add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    await fill(path, random.Random(1))
    async with SqliteStore(path, read_only=True) as store:
        checkpoint = await make_checkpoint(store, key)
    epochs = f'[["{KEYS.current}",{EVENTS + 1}]]'
    edit(
        path,
        ("DELETE FROM batch", ()),
        ("UPDATE setting SET value = ? WHERE key = 'chain_epochs'", (epochs,)),
        ("UPDATE event SET actor = 'mallory' WHERE position = 17", ()),
    )
    alone = await verified(path)
    assert (alone.fault, alone.first_position, alone.events) == (None, EVENTS + 1, 0)
    fault = (await verified(path, KEYS, checkpoint)).fault
    assert fault is not None
    assert fault.kind == Kind.REWRITTEN


async def test_each_checkpoint_is_held_against_the_history(tmp_path: Path) -> None:
    """Also of two at one position, and one of before anything was chained."""
    path, key = tmp_path / "events.db", add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    async with SqliteStore(path, chain=KEYS) as store:
        before = await make_checkpoint(store, key)
        await store.append("run-1", [new(1)])
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    made = []
    for each, number in ((path, 2), (tmp_path / "copy.db", 3)):
        async with SqliteStore(each, chain=KEYS) as store:
            await store.append("run-1", [new(number)])
            made.append(await make_checkpoint(store, key))
    ours, theirs = made
    assert (await verified(path, KEYS, before, ours)).fault is None
    for against in ((ours, theirs), (theirs, ours)):
        fault = (await verified(path, KEYS, *against)).fault
        assert fault is not None
        assert fault.kind == Kind.REWRITTEN


async def test_a_forged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    key = add_signing_key(tmp_path / "a.key", tmp_path / "a.pub")
    async with SqliteStore(path, chain=KEYS) as store:
        text = encode_checkpoint(await make_checkpoint(store, key))
    known = load_public_keys(tmp_path / "a.pub")
    assert decode_checkpoint(text, known).position == EVENTS
    add_signing_key(tmp_path / "b.key", tmp_path / "b.pub")
    for forged, keys in (
        (text.replace(b'"position":150', b'"position":149'), known),
        (text, load_public_keys(tmp_path / "b.pub")),
        (b"{}", known),
        (text.replace(b'"signature":"', b'"signature":"00'), known),
    ):
        with pytest.raises(CheckpointInvalid):
            decode_checkpoint(forged, keys)


async def test_signing_keys_are_private_and_rotate(tmp_path: Path) -> None:
    private, public = tmp_path / "signing.key", tmp_path / "signing.pub"
    first = add_signing_key(private, public)
    assert private.stat().st_mode & 0o777 == 0o600
    second = add_signing_key(private, public)
    assert load_signing_key(private).id == second.id
    assert list(load_public_keys(public)) == [first.id, second.id]
    assert isinstance(first, SigningKey)
    assert first.sign(b"x") not in repr(first)
    private.write_text("nothing")
    with pytest.raises(ChainKeyUnusable, match="64 hexadecimal"):
        load_signing_key(private)


def test_a_new_signing_key_without_room_takes_nothing_away(tmp_path: Path) -> None:
    private, public = tmp_path / "signing.key", tmp_path / "signing.pub"
    first = add_signing_key(private, public)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(public.read_bytes()) + 1, limits[1]))
    try:
        with pytest.raises(ChainKeyUnusable, match=r"signing.pub: cannot be written"):
            add_signing_key(private, public)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_public_keys(public) == {first.id: first.public}
    assert load_signing_key(private).id == first.id
    assert {each.name for each in tmp_path.iterdir()} == {"signing.key", "signing.pub"}


async def test_the_chain_goes_on_under_a_new_key(tmp_path: Path) -> None:
    path, file = tmp_path / "events.db", tmp_path / "chain.key"
    old = load_or_make_chain_keys(file)
    assert file.stat().st_mode & 0o777 == 0o600
    await fill(path, random.Random(1), old)
    add_chain_key(file)
    add_chain_key(file)
    both = load_chain_keys(file)
    assert (both.ids[0], len(both.ids)) == (old.current, 3)
    assert both[both.current].hex() not in repr(both)
    await fill(path, random.Random(2), both, EVENTS + 1)
    found = await verified(path, both)
    assert (found.fault, found.position) == (None, 2 * EVENTS)
    with pytest.raises(ChainKeyUnusable, match=both.current):
        await verified(path, old)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to another user needs root")
def test_a_rotated_key_stays_with_who_serves_the_store(tmp_path: Path) -> None:
    file = tmp_path / "chain.key"
    add_chain_key(file)
    os.chown(file, 12_345, 12_346)
    add_chain_key(file)
    assert (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode & 0o777) == (12_345, 12_346, 0o600)


async def test_a_key_that_comes_in_force_during_a_verification_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is appended then is chained under it, and what retention removes then is sealed under it."""
    monkeypatch.setattr(chain_verify, "STEP_EVENTS", 10)
    path, key_file = tmp_path / "events.db", tmp_path / "chain.keys"
    await fill(path, random.Random(4), load_or_make_chain_keys(key_file))
    add_chain_key(key_file)
    keys = load_chain_keys(key_file)

    async def go_on_under_the_new_key() -> None:
        await fill(path, random.Random(5), keys, start=EVENTS + 1)
        async with SqliteStore(path, chain=keys) as store:
            (event,) = (await store.read_all(after=99, limit=1)).events
            record = store.removal_record(REMOVED, 100, event_digest(event))
            await store.maintain(lambda c: remove_events(c, [(100, record)]))

    def rotate_once(position: int, head: int) -> None:
        if head == EVENTS:
            rotation = threading.Thread(target=asyncio.run, args=(go_on_under_the_new_key(),))
            rotation.start()
            rotation.join()

    async with SqliteStore(path, read_only=True) as store:
        found = await verify_chain(store, keys, progress=rotate_once)
    assert (found.fault, found.position, found.removed) == (None, 2 * EVENTS, 1)


async def test_removals_hold_under_the_key_that_sealed_them(tmp_path: Path) -> None:
    """One sealed before the key changed, one after it: both events were appended under the first key."""
    path, file = tmp_path / "events.db", tmp_path / "chain.key"
    await fill(path, random.Random(1), load_or_make_chain_keys(file))
    for at in (5, 6):
        async with SqliteStore(path, chain=load_chain_keys(file)) as store:
            (event,) = (await store.read_all(after=at - 1, limit=1)).events
            record = store.removal_record(REMOVED, at, event_digest(event))
            await store.maintain(lambda connection, row=(at, record): remove_events(connection, [row]))
        add_chain_key(file)
    found = await verified(path, load_chain_keys(file))
    assert (found.fault, found.position, found.removed) == (None, EVENTS, 2)


async def test_a_key_that_was_replaced_chains_nothing_more(tmp_path: Path) -> None:
    """Who stole it appends on a copy that knows no other, and puts that behind the history."""
    path, file = tmp_path / "events.db", tmp_path / "chain.key"
    stolen = load_or_make_chain_keys(file)
    await fill(path, random.Random(1), stolen)
    add_chain_key(file)
    keys = load_chain_keys(file)
    await fill(path, random.Random(2), keys, EVENTS + 1)
    back = ChainKeys({key_id: keys[key_id] for key_id in reversed(keys.ids)})
    assert back.current == stolen.current
    async with SqliteStore(path, chain=back) as store:
        await store.append("run-1", [new(4_711)])
    fault = (await verified(path, keys)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (2 * EVENTS + 1, Kind.INSERTED)


async def test_a_chained_history_is_not_written_without_its_key(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    with pytest.raises(ChainKeyUnusable, match="no key was given"):
        await SqliteStore(path).__aenter__()
    with pytest.raises(ChainKeyUnusable, match="not among those given"):
        await SqliteStore(path, chain=new_chain_keys()).__aenter__()
    async with SqliteStore(path, read_only=True) as store:
        assert await store.head() == EVENTS


@pytest.mark.parametrize(
    "epochs",
    [
        '[["x",-5]]',
        '[["x",0]]',
        "[[7,1]]",
        '[["x",18446744073709551616]]',
        "{",
        "[]",
        '[["",1]]',
        '[["x",1.5]]',
    ],
)
async def test_an_edited_list_of_keys_is_refused(epochs: str, tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path, random.Random(1))
    edit(path, ("UPDATE setting SET value = ? WHERE key = 'chain_epochs'", (epochs,)))
    with pytest.raises((ChainKeyUnusable, StoreUnreadable)):
        await verified(path)


async def test_a_chain_may_begin_late_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        await store.append("run-1", [new(1), new(2)])
    with pytest.raises(ChainKeyUnusable, match="no hash chain"):
        await verified(path)
    async with SqliteStore(path, chain=KEYS) as store:
        assert (await verify_chain(store, KEYS)).fault is None
        await store.append("run-1", [new(3)])
    found = await verified(path)
    assert (found.first_position, found.position, found.events, found.fault) == (3, 3, 1, None)


async def test_an_append_that_failed_leaves_the_chain_as_it_was(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db", max_bytes=800_000, chain=KEYS) as store:
        filler = b"x" * 50_000
        for number in range(1, 12):
            try:
                await store.append("run-1", [new(number, filler)])
            except Exception:  # the store is full; which error that is, is another test
                await store.maintain(lambda c: c.execute("PRAGMA max_page_count=4000").get, transaction=False)
        found = await verify_chain(store, KEYS)
        assert (found.fault, found.events) == (None, await store.head())
