"""``coldaisle history`` as its user meets it: what it prints, and how it ends."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from coldaisle.core.events import NewEvent
from coldaisle.core.store.chain_keys import load_chain_keys
from coldaisle.core.store.cipher import load_store_key
from coldaisle.core.store.retention import scavenge_category
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.history_commands import history

SCRIPT = Path(__file__).parents[2] / "tools" / "verify_export.py"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(history, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "coldaisle-data"
    assert run("keys", "new", "--data", data, "--store").exit_code == 0

    async def fill() -> None:
        async with SqliteStore(data / "events.db", chain=load_chain_keys(data / "chain.key")) as store:
            await store.append(
                "run-a", [NewEvent(n.to_bytes(16), "T", 1, n, "me", b"{}") for n in range(1, 31)]
            )

    asyncio.run(fill())
    return data


def edit(folder: Path) -> None:
    connection = apsw.Connection(str(folder / "events.db"))
    connection.execute("UPDATE event SET actor = 'mallory' WHERE position = 17")
    connection.close()


def test_a_history_that_holds_ends_with_0_and_one_that_does_not_with_8(folder: Path) -> None:
    done = run("verify", "--data", folder)
    assert (done.exit_code, "the chain holds" in done.output) == (0, True)
    assert "@1 to @30" in done.output
    edit(folder)
    done = run("verify", "--data", folder)
    assert done.exit_code == 8
    assert "BROKEN       @17 changed" in done.output
    done = run("export", "--data", folder, "--from", "1", "--to", "30", "--out", folder / "out")
    assert (done.exit_code, "position 17" in done.output) == (8, True)


async def test_an_archive_that_was_altered_ends_with_8_and_one_that_is_away_with_1(folder: Path) -> None:
    async with SqliteStore(folder / "events.db", chain=load_chain_keys(folder / "chain.key")) as store:
        await scavenge_category(store, "run", 0, covered_by=(), archive_folder=folder / "archive")
    (segment,) = (folder / "archive").iterdir()
    assert (await asyncio.to_thread(run, "verify", "--data", folder)).exit_code == 0
    segment.write_bytes(segment.read_bytes()[:-1])
    done = await asyncio.to_thread(run, "verify", "--data", folder)
    assert (done.exit_code, "not the file that was archived" in done.output) == (8, True)
    segment.unlink()
    done = await asyncio.to_thread(run, "verify", "--data", folder)
    assert (done.exit_code, "bring the file back" in done.output) == (1, True)


def test_a_checkpoint_is_made_and_held_against_the_history(folder: Path, tmp_path: Path) -> None:
    tip = tmp_path / "tip.json"
    assert run("checkpoint", "--data", folder, "--out", tip).exit_code == 0
    assert run("checkpoint", "--data", folder).output.startswith('{"format":"coldaisle-checkpoint-1"')
    assert run("verify", "--data", folder, "--checkpoint", tip).exit_code == 0
    tip.write_bytes(tip.read_bytes().replace(b'"position":30', b'"position":29'))
    done = run("verify", "--data", folder, "--checkpoint", tip)
    assert (done.exit_code, "was altered" in done.output) == (8, True)


def test_a_checkpoint_without_room_leaves_the_one_before_it(
    folder: Path, small_disk: Path, fill_disk: Callable[[Path], Path]
) -> None:
    tip = small_disk / "tip.json"
    assert run("checkpoint", "--data", folder, "--out", tip).exit_code == 0
    published = tip.read_bytes()
    fill_disk(small_disk)
    done = run("checkpoint", "--data", folder, "--out", tip)
    assert (done.exit_code, "No space left" in done.output) == (1, True)
    assert tip.read_bytes() == published
    assert run("checkpoint", "--data", folder, "--out", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


def test_an_export_is_verified_with_nothing_but_python(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "evidence"
    done = run("export", "--data", folder, "--from", "5", "--to", "9", "--out", out)
    assert (done.exit_code, "wrote 5 events" in done.output) == (0, True)
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(out), "--public-key", str(folder / "signing.pub")]
    assert subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0
    done = run("export", "--data", folder, "--from", "9" * 20, "--to", "9" * 20, "--out", tmp_path / "none")
    assert done.exit_code == 2


def test_keys_are_made_shown_and_rotated(folder: Path) -> None:
    secret = (folder / "chain.key").read_text().split()[1]
    assert run("keys", "rotate", "--data", folder, "--chain", "--signing").exit_code == 0
    shown = run("keys", "show", "--data", folder).output
    assert (shown.count("chain key"), shown.count("signing key"), secret in shown) == (2, 2, False)
    assert run("verify", "--data", folder).exit_code == 0
    assert run("keys", "rotate", "--data", folder).exit_code == 2
    assert {
        oct((folder / name).stat().st_mode & 0o777) for name in ("chain.key", "signing.key", "store.key")
    } == {"0o600"}


def test_a_store_is_encrypted_from_the_command_line(folder: Path) -> None:
    assert run("keys", "rotate", "--data", folder, "--store", folder / "store.key").exit_code == 0
    done = run("verify", "--data", folder)
    assert (done.exit_code, "it is encrypted" in done.output) == (1, True)
    assert run("verify", "--data", folder, "--key-file", folder / "store.key").exit_code == 0

    async def served() -> None:
        key, chain = load_store_key(folder / "store.key"), load_chain_keys(folder / "chain.key")
        async with SqliteStore(folder / "events.db", key=key, chain=chain):
            done = await asyncio.to_thread(
                run, "keys", "rotate", "--data", folder, "--store", folder / "store.key"
            )
            assert (done.exit_code, "another process" in done.output) == (1, True)

    asyncio.run(served())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    done = run("verify", "--data", tmp_path / "none")
    assert (done.exit_code, "there is no store" in done.output) == (3, True)


@pytest.mark.parametrize("words", [[], ["verify"], ["export"], ["checkpoint"], ["keys"], ["keys", "rotate"]])
def test_help_teaches(words: list[str]) -> None:
    done = run(*words, "--help")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 10
