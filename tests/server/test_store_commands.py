"""``coldaisle store`` from the command line: what people do with a store's file, and what they are told."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyarrow.parquet import read_metadata

from coldaisle.core.events import NewEvent
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.chain_keys import add_chain_key, load_chain_keys
from coldaisle.core.store.cipher import load_store_key, new_store_key
from coldaisle.core.store.port import Append
from coldaisle.core.store.snapshots import SqliteSnapshots
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.store_commands import store as command
from coldaisle.server.store_work import COVERED_BY

EVENTS = 100
OK, FAILED, USAGE, NOT_FOUND, DAMAGED = 0, 1, 2, 3, 8


def call(*arguments: object) -> Result:
    """In a thread of its own: a command runs a loop of its own."""
    given = [str(argument) for argument in arguments]
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(CliRunner().invoke, command, given).result()


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The folder of a stopped server: half telemetry, half runs, and snapshots of all of it but the end."""
    folder = tmp_path / "data"
    folder.mkdir()
    async with SqliteStore(folder / "events.db") as store:
        for number in range(1, EVENTS + 1):
            event = NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b"{}")
            await store.append(("run-a", "telemetry-a")[number % 2], [event])
        for name in COVERED_BY:
            await SqliteSnapshots(store).save_snapshot(name, EVENTS - 10, 1, b"")
    return folder


async def count(path: Path) -> int:
    async with SqliteStore(path, read_only=True) as store:
        return len((await store.read_all()).events)


def test_every_command_teaches(data: Path) -> None:
    names = ("", "info", "backup", "restore", "check", "salvage", "copy", "archive", "parquet")
    for name in (*names, "retention apply"):
        told = call(*name.split(), "--help")
        assert told.exit_code == OK
        assert "Examples:" in told.output, name


def test_a_store_is_looked_after_without_what_only_a_server_needs() -> None:
    code = "import coldaisle.server.store_work, sys; print(*{'grpc', 'river', 'scipy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


async def test_a_backup_restored_elsewhere_is_the_history(data: Path, tmp_path: Path) -> None:
    copied = call("backup", tmp_path / "b.db", "--data", data)
    assert (copied.exit_code, f"up to @{EVENTS}" in copied.output) == (OK, True)
    again = call("backup", tmp_path / "b.db", "--data", data)
    assert (again.exit_code, "already" in again.output) == (FAILED, True)
    restored = call("restore", tmp_path / "b.db", "--data", tmp_path / "new")
    assert f"coldaisle serve --data {tmp_path / 'new'}" in restored.output
    assert await count(tmp_path / "new" / "events.db") == EVENTS
    under_another_name = call("restore", tmp_path / "b.db", "--data", tmp_path / "hall.new")
    assert "coldaisle serve" not in under_another_name.output


def test_a_store_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    told = call("info", "--data", tmp_path / "none")
    assert (told.exit_code, "there is no store" in told.output) == (NOT_FOUND, True)


def test_info_is_made_for_people_and_for_programs(data: Path) -> None:
    found = json.loads(call("info", "--data", data, "-o", "json").output)
    assert (found["events"], found["position"], found["streams"]) == (EVENTS, EVENTS, 2)
    assert found["snapshots"] == dict.fromkeys(COVERED_BY, EVENTS - 10)
    assert "removed events" in call("info", "--data", data).output


async def test_old_telemetry_is_archived_and_the_rest_stays(data: Path, tmp_path: Path) -> None:
    assert call("retention", "apply", "--data", data, "--without-archive").exit_code == FAILED
    assert "for ever" in call("retention", "set", "run", "1d", "--data", data).output
    assert call("retention", "set", "telemetry", "soon", "--data", data).exit_code == USAGE
    assert call("retention", "set", "telemetry", "0s", "--data", data).exit_code == OK
    assert call("retention", "show", "--data", data).output.split() == ["telemetry", "0d"]
    assert "--archive DIR" in call("retention", "apply", "--data", data).output
    told = call("retention", "apply", "--data", data, "--archive", tmp_path / "cold")
    assert "45 removed, 45 archived; the snapshot" in told.output
    path = data / "events.db"
    assert await count(path) == EVENTS - 45 + 1  # the fact that tells of it
    async with SqliteStore(path, read_only=True) as store:
        assert len((await ArchivedHistory(store).read_all()).events) == EVENTS + 1
    assert call("check", "--thorough", "--data", data).exit_code == OK
    copied = call("copy", data, tmp_path / "whole.db", "--with-archive")
    assert f"{EVENTS + 1} events copied, {EVENTS + 1} compared" in copied.output
    assert f"{EVENTS + 1} events" in call("parquet", tmp_path / "whole.parquet", "--data", data).output
    assert read_metadata(tmp_path / "whole.parquet").num_rows == EVENTS + 1


async def test_archive_moves_once_whatever_retention_says(data: Path, tmp_path: Path) -> None:
    assert "0 removed" in call("archive", tmp_path / "cold", "--older-than", "1d", "--data", data).output
    assert "45 removed" in call("archive", tmp_path / "cold", "--older-than", "0s", "--data", data).output
    refused = call("archive", tmp_path / "cold", "--older-than", "0s", "--category", "run", "--data", data)
    assert (refused.exit_code, "for ever" in refused.output) == (FAILED, True)


async def test_damage_is_found_and_salvaged(data: Path, tmp_path: Path) -> None:
    path = data / "events.db"
    async with SqliteStore(path) as store:
        await store.maintain(lambda c: c.execute("DELETE FROM event WHERE position IN (50, 51)").fetchall())
    checked = call("check", "--data", data)
    assert (checked.exit_code, "2 are missing" in checked.output) == (DAMAGED, True)
    told = call("salvage", path, "--out", tmp_path / "new.db")
    assert (told.exit_code, "@50 to @51" in told.output) == (DAMAGED, True)
    assert await count(tmp_path / "new.db") == EVENTS - 2


async def test_what_cannot_be_looked_at_is_not_called_damaged(data: Path, tmp_path: Path) -> None:
    """Whoever forgot the key, or has upgraded, is not sent to salvage."""
    locked, key_file = tmp_path / "locked.db", tmp_path / "store.key"
    key_file.write_text(new_store_key().hex)
    async with SqliteStore(locked, key=load_store_key(key_file)):
        pass
    async with SqliteStore(data / "events.db") as store:
        await store.maintain(lambda c: c.execute("PRAGMA user_version=3").fetchall())
    for path, says in ((locked, "it is encrypted: give its key"), (data, "start the server on it once")):
        for how in ((), ("--thorough",)):
            told = call("check", "--data", path, *how)
            assert (told.exit_code, says in told.output, "damaged" in told.output) == (FAILED, True, False)
    assert call("check", "--data", locked, "--key-file", key_file).exit_code == OK
    assert "give its key" in call("salvage", locked, "--out", tmp_path / "new.db").output
    for path, lost_bytes in ((locked, 100), (data / "events.db", 1), (data / "events.db", 100)):
        path.write_bytes(bytes(lost_bytes) + path.read_bytes()[lost_bytes:])
        told = call("check", "--data", path)
        assert (told.exit_code, "not an SQLite file" in told.output) == (DAMAGED, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_leaves_nothing_half_made(
    number: int, data: Path, tmp_path: Path
) -> None:
    """As by Ctrl-C; it is held up where it reads the archive."""
    call("archive", tmp_path / "cold", "--older-than", "0s", "--data", data)
    (segment,) = (tmp_path / "cold").iterdir()
    segment.unlink()
    os.mkfifo(segment)
    before = set(tmp_path.iterdir())
    words = ("store", "parquet", str(tmp_path / "whole.parquet"), "--data", str(data))
    command = subprocess.Popen([sys.executable, "-m", "coldaisle.cli", *words], stderr=subprocess.PIPE)
    with segment.open("wb"):  # as soon as the command reads it
        assert (tmp_path / ".whole.parquet.partial").exists()
        command.send_signal(number)
        _, told = command.communicate()
    assert (command.returncode, told.strip()) == (130, b"interrupted")
    assert set(tmp_path.iterdir()) == before


async def test_keys_travel_by_file(tmp_path: Path) -> None:
    key_file, chain_file, path = tmp_path / "store.key", tmp_path / "chain.keys", tmp_path / "events.db"
    key_file.write_text(new_store_key().hex)
    add_chain_key(chain_file)
    keys = {"key": load_store_key(key_file), "chain": load_chain_keys(chain_file)}
    async with SqliteStore(path, **keys) as store:  # type: ignore[arg-type]  # each has its own type
        events = [NewEvent(n.to_bytes(16), "Test", 1, n, "t", b"{}") for n in range(1, 11)]
        await store.append_many([Append("telemetry-a", events)])
    assert call("info", "--data", path).exit_code == FAILED
    assert call("info", "--data", path, "--key-file", key_file).exit_code == OK
    with_key = ("--data", path, "--key-file", key_file)
    assert "chain" in call("retention", "set", "telemetry", "1d", *with_key).output
    assert call("retention", "set", "telemetry", "1d", *with_key, "--chain-keys", chain_file).exit_code == OK
    plain = call("copy", path, tmp_path / "plain.db", "--from-key-file", key_file)
    assert "10 compared and equal" in plain.output
    assert await count(tmp_path / "plain.db") == 10


def test_asking_what_a_store_holds_is_quick(data: Path) -> None:
    started = time.perf_counter()
    call("check", "--data", data)
    assert time.perf_counter() - started < 1
