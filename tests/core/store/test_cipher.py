"""Encryption at rest: nothing readable on disk, and what is wrong with a key is said exactly."""

import asyncio
import contextlib
import os
import random
import sys
from pathlib import Path
from stat import S_IMODE

import apsw
import pytest

from coldaisle.core.errors import CipherMissing, StoreError, StoreKeyWrong, StoreLocked, StoreUnreadable
from coldaisle.core.events import NewEvent
from coldaisle.core.store.backup import backup
from coldaisle.core.store.cipher import (
    StoreKey,
    load_store_key,
    new_store_key,
    store_key_from_environment,
)
from coldaisle.core.store.rekey import rekey_store
from coldaisle.core.store.sqlite import SqliteStore

KILLS = 60 if os.environ.get("COLDAISLE_SOAK") else 8

REKEY = """
import pathlib, sys
from coldaisle.core.store.cipher import load_store_key
from coldaisle.core.store.rekey import rekey_store

store, old, new = map(pathlib.Path, sys.argv[1:])
old, new = load_store_key(old), load_store_key(new)
print("ready", flush=True)
rekey_store(store, old, new)
"""

SECRET = b'{"secret":"the door code is 4711"}'


def new(number: int) -> NewEvent:
    return NewEvent(number.to_bytes(16), "Test", 1, number, "tester", SECRET)


async def fill(path: Path, key: StoreKey | None) -> None:
    async with SqliteStore(path, key=key) as store:
        await store.append("run-a", [new(n) for n in range(1, 200)])


async def count(path: Path, key: StoreKey | None) -> int:
    async with SqliteStore(path, key=key, read_only=True) as store:
        return len((await store.read_all()).events)


async def test_nothing_on_disk_is_readable(tmp_path: Path) -> None:
    key = new_store_key()
    async with SqliteStore(tmp_path / "events.db", key=key) as store:
        await store.append("run-a", [new(n) for n in range(1, 200)])
        assert len((await store.read_all()).events) == 199
        async with SqliteStore(store.path, key=key, read_only=True) as reader:
            assert await reader.head() == 199
        found = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert len(found["events.db-wal"]) > 10_000
        assert not any(b"door code" in content for content in found.values())
    assert b"door code" not in (tmp_path / "events.db").read_bytes()
    assert await count(tmp_path / "events.db", key) == 199


@pytest.mark.parametrize("read_only", [False, True])
async def test_what_is_wrong_with_the_key_is_said(tmp_path: Path, read_only: bool) -> None:
    locked, plain = tmp_path / "locked.db", tmp_path / "plain.db"
    await fill(locked, new_store_key())
    await fill(plain, None)
    before = locked.read_bytes()
    for path, key, says in (
        (locked, new_store_key(), "does not open with this key"),
        (locked, None, "encrypted: give its key"),
        (plain, new_store_key(), "is not encrypted, but a key was given"),
    ):
        with pytest.raises(StoreKeyWrong, match=says):
            await SqliteStore(path, key=key, read_only=read_only).__aenter__()
    assert locked.read_bytes() == before


async def test_a_library_that_cannot_encrypt_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package apsw brings a module of the same name; installed over ours, it would write in the clear."""
    key = new_store_key()
    await fill(tmp_path / "events.db", key)
    monkeypatch.delattr(apsw, "mc_version")
    for path in (tmp_path / "events.db", tmp_path / "new.db"):
        with pytest.raises(CipherMissing, match="apsw-sqlite3mc"):
            await SqliteStore(path, key=key).__aenter__()


async def test_the_key_is_put_on_and_changed(tmp_path: Path) -> None:
    path, first, second = tmp_path / "events.db", new_store_key(), new_store_key()
    await fill(path, None)
    path.chmod(0o640)
    os.chown(path, -1, 12_345)
    for old, now in ((None, first), (first, second)):
        rekey_store(path, old, now)
        assert await count(path, now) == 199
        assert b"door code" not in path.read_bytes()
        with pytest.raises(StoreKeyWrong):
            await count(path, old)
        assert (S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o640, 12_345)
    with pytest.raises(StoreKeyWrong):
        rekey_store(path, first, new_store_key())
    assert {each.name for each in tmp_path.iterdir()} == {"events.db", "events.db.lock"}
    async with SqliteStore(path, key=second) as store:
        assert (await store.append("run-a", [new(500)])).position == 200
        assert (
            await store.maintain(lambda c: c.execute("PRAGMA integrity_check").get, transaction=False) == "ok"
        )


async def test_a_store_behind_a_link_is_put_under_the_key_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, key = tmp_path / "events.db", new_store_key()
    await fill(tmp_path / "disk" / "events.db", None)
    link.symlink_to(tmp_path / "disk" / "events.db")
    rekey_store(link, None, key)
    assert link.is_symlink()
    assert await count(link, key) == 199
    assert b"door code" not in (tmp_path / "disk" / "events.db").read_bytes()


async def test_a_store_that_is_read_keeps_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldaisle.core.store.sqlite_schema.BUSY_MILLISECONDS", 50)
    path, key = tmp_path / "events.db", new_store_key()
    await fill(path, key)
    async with SqliteStore(path, key=key, read_only=True) as reader:
        assert await reader.head() == 199
        with pytest.raises(StoreLocked, match="another process reads"):
            rekey_store(path, key, new_store_key())
        assert await reader.head() == 199
    assert await count(path, key) == 199


async def test_a_rekeying_killed_anywhere_leaves_the_store_whole(tmp_path: Path) -> None:
    path, source, rekeyed = tmp_path / "events.db", random.Random(1), 0
    keys = [new_store_key(), new_store_key()]
    for number, key in enumerate(keys):
        (tmp_path / f"{number}.key").write_text(key.hex)
    await fill(path, keys[0])
    for _ in range(KILLS):
        arguments = [path, tmp_path / f"{rekeyed % 2}.key", tmp_path / f"{(rekeyed + 1) % 2}.key"]
        command = [sys.executable, "-c", REKEY, *map(str, arguments)]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.readline()
        await asyncio.sleep(source.uniform(0, 0.06))
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        try:
            assert await count(path, keys[rekeyed % 2]) == 199
        except StoreKeyWrong:
            rekeyed += 1
            assert await count(path, keys[rekeyed % 2]) == 199
    rekey_store(path, keys[rekeyed % 2], keys[(rekeyed + 1) % 2])
    assert not [each for each in tmp_path.iterdir() if "rekeyed" in each.name]


async def test_no_error_tells_the_new_key(tmp_path: Path) -> None:
    key = new_store_key()
    await fill(tmp_path / "events.db", None)
    with pytest.raises(StoreError, match="cannot be made") as caught:
        backup(tmp_path / "events.db", tmp_path / "none" / "b.db", new_key=key)
    assert key.hex not in f"{caught.value} {caught.value.__cause__}"


async def test_a_changed_page_does_not_decrypt(tmp_path: Path) -> None:
    path, key = tmp_path / "events.db", new_store_key()
    await fill(path, key)
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 8_192):
        content[page * 8_192 + 4_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreUnreadable):
        await count(path, key)


async def test_a_backup_stays_under_the_key(tmp_path: Path) -> None:
    key = new_store_key()
    await fill(tmp_path / "events.db", key)
    backup(tmp_path / "events.db", tmp_path / "copy.db", key=key)
    assert b"door code" not in (tmp_path / "copy.db").read_bytes()
    assert await count(tmp_path / "copy.db", key) == 199


def test_keys_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_store_key()
    (tmp_path / "store.key").write_text(key.hex + "\n")
    monkeypatch.setenv("STORE_KEY", key.hex)
    assert load_store_key(tmp_path / "store.key") == key == store_key_from_environment("STORE_KEY")
    assert key.hex not in f"{key} {key!r}"
    monkeypatch.setenv("STORE_KEY", "secret")
    for read in (
        lambda: store_key_from_environment("STORE_KEY"),
        lambda: store_key_from_environment("STORE_KEY_NONE"),
        lambda: load_store_key(tmp_path / "none.key"),
        lambda: StoreKey(b"short"),
    ):
        with pytest.raises(StoreKeyWrong):
            read()
