"""``coldaisle history``: the integrity of the history itself. Only click at import."""

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coldaisle.server.history_keys import PUBLIC_KEYS_FILE, SIGNING_KEY_FILE, keys
from coldaisle.server.store_options import (
    CHAIN_KEY_FILE,
    DAMAGED,
    archive_folder,
    chain,
    data,
    key,
    leave,
    progress,
    run,
    store_key,
    told,
)

if TYPE_CHECKING:
    from coldaisle.core.store.chain_verify import Verified
    from coldaisle.core.store.checkpoints import Checkpoint
    from coldaisle.core.store.sqlite import SqliteStore

Answer = TypeVar("Answer")

_file = click.Path(path_type=Path, dir_okay=False)
_position = click.IntRange(1, (1 << 63) - 1)
_signing_key = click.option(
    "--signing-key", type=_file, metavar="FILE",
    help=f"The secret key that signs. [{SIGNING_KEY_FILE} beside the store]",
)  # fmt: skip


@click.group()
def history() -> None:
    """Prove that the history is what was appended: verify, sign, export, and keep its keys.

    \b
    Every append is linked into a chain of hashes under a secret key. Who edits the file
    breaks the chain; who also has the key is found by a checkpoint published elsewhere.

    \b
    coldaisle history verify                        does the chain hold?
    coldaisle history checkpoint --out tip.json     publish this where you cannot take it back
    coldaisle history verify --checkpoint tip.json  is it still the history of then?
    coldaisle history export --from 1 --to 500 --out evidence

    (`coldaisle verify` is another thing: it replays, and compares what comes out.)
    """


@history.command()
@data
@key
@chain
@click.option("--checkpoint", "checkpoints", type=_file, multiple=True, metavar="FILE",
              help="A published checkpoint that the history must still agree with; repeatable.")  # fmt: skip
@click.option("--public-keys", type=_file, metavar="FILE",
              help=f"What verifies checkpoints. [{PUBLIC_KEYS_FILE} beside the store]")  # fmt: skip
@archive_folder
@click.option(
    "--without-archive", is_flag=True, help="Leave archived events unread; only the chain is walked."
)
@told
def verify(
    path: Path,
    key_file: Path | None,
    chain_keys: Path | None,
    checkpoints: tuple[Path, ...],
    public_keys: Path | None,
    archive: Path | None,
    without_archive: bool,
) -> None:
    """Walk the hash chain, and name the first position that does not hold.

    \b
    Says what was done there: changed, removed, reordered, inserted, truncated, or the whole
    rewritten since a checkpoint. A server may be running. Exit code 8 when it does not hold.
    Removal by retention is not a fault: it is under a seal, and the events are counted. What
    it archived is read there, and must be what was appended.

    \b
    Keep the public key and the checkpoints elsewhere: from the same disk they prove little.
    Without one, an end that was cut off cleanly looks like a history that is shorter.

    \b
    Examples:
      coldaisle history verify
      coldaisle history verify --checkpoint tip.json --public-keys ~/signing.pub
    """
    from coldaisle.core.errors import ArchiveAltered
    from coldaisle.core.store.chain_archive import verify_archive
    from coldaisle.core.store.chain_keys import load_chain_keys
    from coldaisle.core.store.chain_verify import verify_chain

    keys = load_chain_keys(chain_keys or path.with_name(CHAIN_KEY_FILE))
    against = _checkpoints(checkpoints, public_keys or path.with_name(PUBLIC_KEYS_FILE))

    async def walk(store: "SqliteStore") -> "Verified":
        found = await verify_chain(store, keys, against=against, progress=progress("verified"))
        if found.fault is not None or without_archive:
            return found
        return await verify_archive(store, keys, found, archive, progress("verified in the archive"))

    try:
        found = _with_store(path, key_file, walk)
    except ArchiveAltered as error:
        leave(str(error), DAMAGED)
    _tell(found, against, without_archive)
    sys.exit(DAMAGED if found.fault else 0)


def _tell(found: "Verified", against: "list[Checkpoint]", without_archive: bool) -> None:
    if found.first_position > 1:
        older = "older than the chain, unless a checkpoint says otherwise: nothing vouches for it"
        click.echo(f"not chained  @1 to @{found.first_position - 1}: {older}")
    click.echo(f"holds        @{found.first_position} to @{found.position}")
    click.echo(f"events       {found.events}, and {found.removed} that retention removed")
    if found.archived:
        is_read = found.fault is None and not without_archive
        click.echo(f"archived     {found.archived} of them" + (", as they were appended" if is_read else ""))
    click.echo(f"chain hash   {found.chain_hash.hex()}")
    if against:
        click.echo(f"checkpoints  up to @{max(each.position for each in against)}")
    else:
        click.echo("checkpoints  none given: newest events that were cut off cleanly are not missed")
    if found.fault is not None:
        click.echo(
            f"BROKEN       @{found.fault.position} {found.fault.kind.value}: {found.fault.says}", err=True
        )
    click.echo("verdict      " + ("the chain does not hold" if found.fault else "the chain holds"))


@history.command()
@data
@key
@_signing_key
@click.option("--out", type=_file, metavar="FILE", help="Write here, not to the terminal.")
@told
def checkpoint(path: Path, key_file: Path | None, signing_key: Path | None, out: Path | None) -> None:
    """Sign where the history stands, as a line of JSON to publish.

    \b
    Mail it, print it, commit it, send it to another team: whoever holds it can show later
    that the history up to there was not rewritten. It holds no event and no secret.

    \b
    Examples:
      coldaisle history checkpoint --out tip.json
      coldaisle history checkpoint | logger -t coldaisle
    """
    from coldaisle.core.store.checkpoints import encode_checkpoint, load_signing_key, make_checkpoint

    signer = load_signing_key(signing_key or path.with_name(SIGNING_KEY_FILE))
    text = encode_checkpoint(_with_store(path, key_file, lambda store: make_checkpoint(store, signer)))
    if out is None:
        click.echo(text.decode(), nl=False)
    else:
        _replace(out, text)
        click.echo(f"wrote {out}; publish it where nobody here can change it")


@history.command()
@data
@key
@_signing_key
@click.option("--from", "first", type=_position, required=True, metavar="POSITION",
              help="The first event.")  # fmt: skip
@click.option("--to", "last", type=_position, required=True, metavar="POSITION",
              help="The last event.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A new folder.")
@told
def export(
    path: Path, key_file: Path | None, signing_key: Path | None, first: int, last: int, out: Path
) -> None:
    """Write a range of events and the proof of it, for somebody without Coldaisle.

    \b
    DIR/events.jsonl has an event a line, DIR/manifest.json the digests and signatures.
    tools/verify_export.py verifies both with Python's standard library alone. An event
    that is not what was appended is not exported: exit code 8.

    \b
    Example:
      coldaisle history export --from 4711 --to 4800 --out evidence
      python verify_export.py evidence --public-key signing.pub
    """
    from coldaisle.core.store.checkpoints import load_signing_key
    from coldaisle.core.store.export import Altered
    from coldaisle.core.store.export import export as write

    signer = load_signing_key(signing_key or path.with_name(SIGNING_KEY_FILE))
    try:
        done = _with_store(
            path, key_file, lambda store: write(store, out, first, last, signer, progress("exported"))
        )
    except Altered as error:
        leave(str(error), DAMAGED)
    click.echo(f"wrote {done.events} events to {out}; retention had removed {done.removed} of the range")


history.add_command(keys)


def _with_store(
    path: Path, key_file: Path | None, work: "Callable[[SqliteStore], Coroutine[Any, Any, Answer]]"
) -> Answer:  # Any: asyncio.run does not look at these two
    """Run on the history's file, read-only; a server may be running beside."""
    from coldaisle.core.store.sqlite import SqliteStore

    async def work_on() -> Answer:
        async with SqliteStore(path, key=store_key(key_file), read_only=True) as store:
            return await work(store)

    return run(work_on())


def _checkpoints(files: tuple[Path, ...], public_keys: Path) -> "list[Checkpoint]":
    from coldaisle.core.errors import CheckpointInvalid
    from coldaisle.core.store.checkpoints import decode_checkpoint, load_public_keys

    known = load_public_keys(public_keys) if files else {}
    try:
        return [decode_checkpoint(_content(file), known) for file in files]
    except CheckpointInvalid as error:
        leave(str(error), DAMAGED)


def _replace(file: Path, content: bytes) -> None:
    """Whole, or as it was: it may be the only checkpoint that there is."""
    from coldaisle.core.store.chain_keys import write_whole

    if file.exists() and not file.is_file():  # a pipe, a terminal
        file.write_bytes(content)
    else:
        write_whole(file.resolve(), content, mode=0o644)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: cannot be read ({error.strerror}); name a checkpoint") from error
