"""An export is verified by the script that ships beside it, with nothing of ours on the path."""

import asyncio
import json
import random
import resource
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from coldaisle.core.errors import ChainKeyUnusable, StoreError
from coldaisle.core.events import NewEvent
from coldaisle.core.store import export as export_module
from coldaisle.core.store.chain import REMOVED, event_digest
from coldaisle.core.store.chain_keys import add_chain_key, load_chain_keys, load_or_make_chain_keys
from coldaisle.core.store.checkpoints import add_signing_key, load_signing_key
from coldaisle.core.store.export import export
from coldaisle.core.store.retention_marks import remove_events
from coldaisle.core.store.sqlite import SqliteStore

SCRIPT = Path(__file__).parents[3] / "tools" / "verify_export.py"


def new(number: int) -> NewEvent:
    data = b"\xff\x00" if number % 10 == 0 else '{"n":"é%d"}'.encode() % number
    cause = b"c" * 16 if number % 3 else None
    return NewEvent(number.to_bytes(16), "Test", 1, number, "tester", data, cause, cause and b"d" * 16)


@pytest.fixture
async def exported(tmp_path: Path) -> Path:
    """Positions 7 to 66 of 90, of which 20 to 24 were removed; the chain changes its key at 46."""
    path = tmp_path / "events.db"
    load_or_make_chain_keys(tmp_path / "chain.key")
    for start in (1, 46):
        async with SqliteStore(path, chain=load_chain_keys(tmp_path / "chain.key")) as store:
            for number in range(start, start + 45, 9):
                await store.append(f"run-{number % 4}", [new(n) for n in range(number, number + 9)])
        add_chain_key(tmp_path / "chain.key")
    async with SqliteStore(path, chain=load_chain_keys(tmp_path / "chain.key")) as store:
        gone = [event for event in (await store.read_all()).events if 20 <= event.position <= 24]
        for event in gone:
            row = (event.position, store.removal_record(REMOVED, event.position, event_digest(event)))
            await store.maintain(
                lambda c, row=row: c.execute("INSERT INTO removed VALUES(?,?)", row).fetchall()
            )
            await store.maintain(
                lambda c, at=row[0]: c.execute("DELETE FROM event WHERE position=?", (at,)).fetchall()
            )
        key = add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
        done = await export(store, tmp_path / "out", 7, 66, key)
        assert (done.events, done.removed) == (55, 5)
    return tmp_path / "out"


def verify(folder: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.stderr == ""
    return done.returncode, done.stdout


def with_keys(folder: Path) -> list[str]:
    return [
        "--public-key",
        str(folder.parent / "signing.pub"),
        "--chain-key",
        str(folder.parent / "chain.key"),
    ]


def test_an_export_holds(exported: Path) -> None:
    code, says = verify(exported, *with_keys(exported))
    assert code == 0, says
    assert "keyed chain: holds" in says
    code, says = verify(exported)
    assert code == 0
    assert "NOT yet trusted" in says
    assert "not verified" in says


def test_the_events_of_an_export_are_readable(exported: Path) -> None:
    lines = [json.loads(line) for line in (exported / "events.jsonl").read_text().splitlines()]
    assert [line["position"] for line in lines] == [n for n in range(7, 67) if not 20 <= n <= 24]
    assert lines[0]["data"] == '{"n":"é7"}'


@pytest.mark.parametrize("seed", range(15))
def test_every_edit_of_the_events_is_found(exported: Path, seed: int) -> None:
    source, file = random.Random(seed), exported / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    at = source.randrange(len(lines) - 1)
    event = json.loads(lines[at])
    match source.choice(["change", "remove", "swap", "double", "cut"]):
        case "change":
            field = source.choice(["actor", "stream", "time", "version", "recorded", "type", "causation_id"])
            event[field] = {str: "abcd", int: 4, type(None): "aa"}[type(event[field])]
            lines[at] = json.dumps(event).encode() + b"\n"
        case "remove":
            del lines[at]
        case "swap":
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        case "double":
            lines.insert(at, lines[at])
        case _:
            del lines[at:]
    file.write_bytes(b"".join(lines))
    code, says = verify(exported, *with_keys(exported))
    assert (code, says.startswith("BROKEN")) == (8, True)


@pytest.mark.parametrize(
    "field",
    [
        "chain_before",
        "store",
        "epochs",
        "batches",
        "checkpoint",
        "signature",
        "removed",
        "public_key",
    ],
)
def test_every_edit_of_the_manifest_is_found(exported: Path, field: str) -> None:
    file = exported / "manifest.json"
    manifest = json.loads(file.read_text())
    match manifest[field]:
        case str(text):
            manifest[field] = ("0" if text[0] != "0" else "1") + text[1:]
        case dict(entries) if field == "removed":
            entries.popitem()
        case dict(checkpoint):
            checkpoint["position"] += 1
        case list(items):
            items.pop()
    file.write_text(json.dumps(manifest))
    code, says = verify(exported, *with_keys(exported))
    assert (code, says.startswith("BROKEN")) == (8, True)


async def test_a_removal_that_retention_did_not_make_is_found(exported: Path, tmp_path: Path) -> None:
    """Who signs, but has not the chain's key, cannot leave out an event and say that it was removed."""
    manifest = json.loads((exported / "manifest.json").read_text())
    lines = (exported / "events.jsonl").read_bytes().splitlines(keepends=True)
    gone = json.loads(lines.pop(3))["position"]
    (exported / "events.jsonl").write_bytes(b"".join(lines))
    manifest["removed"][str(gone)] = next(iter(manifest["removed"].values()))
    manifest["events_sha256"] = sha256(b"".join(lines)).hexdigest()
    del manifest["signature"]
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["signature"] = load_signing_key(tmp_path / "signing.key").sign(text.encode())
    (exported / "manifest.json").write_text(json.dumps(manifest))
    code, says = verify(exported, *with_keys(exported))
    assert (code, says) == (8, f"BROKEN: position {gone}: not removed by retention\n")
    code, says = verify(exported)
    assert code == 0
    assert "removed by retention: 6 events (not verified)" in says


def test_a_forger_with_a_key_of_his_own_is_found(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    add_signing_key(tmp_path / "mine" / "k", tmp_path / "mine" / "signing.pub")
    code, says = verify(exported, "--public-key", str(tmp_path / "mine" / "signing.pub"))
    assert (code, "not the key given" in says) == (8, True)
    wrong = tmp_path / "mine" / "chain.key"
    add_chain_key(wrong)
    code, says = verify(exported, "--chain-key", str(wrong))
    assert (code, "is not in the file given" in says) == (8, True)


async def test_what_was_altered_is_not_exported(exported: Path, tmp_path: Path) -> None:
    keys, key = load_chain_keys(tmp_path / "chain.key"), load_signing_key(tmp_path / "signing.key")
    async with SqliteStore(tmp_path / "events.db", chain=keys) as store:
        for first, last in ((0, 5), (5, 4), (1, 91)):
            with pytest.raises(ChainKeyUnusable, match="not all in the hash chain"):
                await export(store, tmp_path / "again", first, last, key)
        with pytest.raises(StoreError, match="is there already"):
            await export(store, exported, 1, 5, key)
        await store.maintain(lambda c: c.execute("UPDATE event SET actor='x' WHERE position=3").fetchall())
        with pytest.raises(StoreError, match="position 3 is not what was appended"):
            await export(store, tmp_path / "again", 1, 5, key)
        assert not (tmp_path / "again").exists()


async def test_an_export_without_room_says_so_and_leaves_nothing(exported: Path, tmp_path: Path) -> None:
    key = load_signing_key(tmp_path / "signing.key")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with SqliteStore(tmp_path / "events.db", read_only=True) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
        try:
            with pytest.raises(StoreError, match=r"again cannot be written .*nothing is left there"):
                await export(store, tmp_path / "again", 7, 66, key)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "again").exists()


async def test_a_range_that_no_memory_takes_is_refused(exported: Path, tmp_path: Path) -> None:
    key = load_signing_key(tmp_path / "signing.key")
    async with SqliteStore(tmp_path / "events.db", read_only=True) as store:
        with pytest.raises(StoreError, match="write several"):
            await export(store, tmp_path / "again", 1, export_module.MAX_EXPORT_EVENTS + 1, key)


async def test_retention_may_go_on_beside_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that it removes in the meantime is in the export with its seal alone, and no alarm."""
    monkeypatch.setattr(export_module, "STEP_EVENTS", 10)
    path, keys = tmp_path / "events.db", load_or_make_chain_keys(tmp_path / "chain.key")
    async with SqliteStore(path, chain=keys) as store:
        await store.append("run-1", [new(n) for n in range(1, 41)])

    async def remove_one() -> None:
        async with SqliteStore(path, chain=keys) as store:
            (event,) = (await store.read_all(after=29, limit=1)).events
            record = store.removal_record(REMOVED, 30, event_digest(event))
            await store.maintain(lambda c: remove_events(c, [(30, record)]))

    def remove_meanwhile(position: int, last: int) -> None:
        if position == 10:
            retention = threading.Thread(target=asyncio.run, args=(remove_one(),))
            retention.start()
            retention.join()

    key = add_signing_key(tmp_path / "signing.key", tmp_path / "signing.pub")
    async with SqliteStore(path, read_only=True) as store:
        done = await export(store, tmp_path / "out", 1, 40, key, remove_meanwhile)
    assert (done.events, done.removed) == (39, 1)
    code, says = verify(tmp_path / "out", *with_keys(tmp_path / "out"))
    assert code == 0, says
    assert "removed by retention: 1 events" in says


def test_a_key_file_that_is_not_there_does_not_break_an_export(exported: Path) -> None:
    for option in ("--public-key", "--chain-key"):
        assert verify(exported, option, "nowhere.pub") == (2, "no key: nowhere.pub\n")
    public = (exported.parent / "signing.pub").read_text().split()[1]
    assert verify(exported, "--public-key", public)[0] == 0


def test_the_script_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--public-key" in done.stdout
