"""``coldaisle store``: look after a store's file. Only click at import, the rest when a command runs."""

import sys
from pathlib import Path

import click

from coldaisle.server.store_options import (
    DAMAGED,
    DEFAULT_DATA,
    STORE_FILE,
    AnyStore,
    ExistingStore,
    StorePath,
    archive_folder,
    chain,
    data,
    key,
    keys_of_chain,
    progress,
    run,
    store_key,
    told,
)
from coldaisle.server.store_retention import archive, parquet, retention


@click.group()
def store() -> None:
    """Look after a store's file: back up, check, thin out, archive, copy, salvage.

    \b
    A store is one SQLite file, events.db in the folder given to `coldaisle serve`. Reading commands may run
    beside the server; those that write need it stopped (two writers would not agree on positions).

    \b
    Examples:
      coldaisle store info
      coldaisle store backup /backups/monday.db
      coldaisle store retention set telemetry 90d
      coldaisle store check --thorough
    """


@store.command()
@data
@key
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@told
def info(path: Path, key_file: Path | None, output: str) -> None:
    """Show what a store holds: events, size, snapshots, retention, archive.

    \b
    Examples:
      coldaisle store info
      coldaisle store info --data /var/lib/coldaisle -o json
    """
    from coldaisle.server.store_work import describe

    found = describe(path, store_key(key_file))
    if output == "json":
        import orjson

        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    width = max(map(len, found))
    for name, value in found.items():
        shown = " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name.replace('_', ' '):<{width}}  {shown if shown not in ('', None) else '-'}")


@store.command()
@click.argument("target", type=click.Path(path_type=Path))
@data
@key
@told
def backup(target: Path, path: Path, key_file: Path | None) -> None:
    """Copy the store to the new file TARGET, also while a server writes to it.

    \b
    The copy is whole, compact and read back before it gets its name. An encrypted store gives a backup
    under the same key. Archived events lie in files of their own: copy their folder too.

    \b
    Examples:
      coldaisle store backup /backups/monday.db
    """
    from coldaisle.core.store.backup import backup as work

    done = work(path, target, progress("copied bytes:"), key=store_key(key_file))
    click.echo(f"{done.path}: up to @{done.head}, {done.bytes:,} bytes")


@store.command()
@click.argument("source", type=ExistingStore())
@click.option("--data", "target", type=StorePath(), metavar="STORE", default=DEFAULT_DATA, show_default=True,
              help="Where the server will look for it; nothing may be there.")  # fmt: skip
@key
@told
def restore(source: Path, target: Path, key_file: Path | None) -> None:
    """Put the backup SOURCE where a server finds it. Never overwrites.

    \b
    Examples:
      coldaisle store restore /backups/monday.db --data /var/lib/coldaisle/events.db
    """
    from coldaisle.core.store.backup import restore as work

    place = target if target.suffix else target / STORE_FILE
    done = work(source, place, progress("copied bytes:"), key=store_key(key_file))
    how = f"start it with: coldaisle serve --data {done.path.parent}"
    if done.path.name != STORE_FILE:  # a server there would begin another history beside it
        how = f"a server looks for {STORE_FILE} in the folder that it is given"
    click.echo(f"{done.path}: up to @{done.head}; {how}")


store.add_command(retention)
store.add_command(archive)
store.add_command(parquet)


@store.command()
@click.option("--thorough", is_flag=True, help="Read everything, also the archive; else the end of the log.")
@archive_folder
@data
@key
@told
def check(thorough: bool, archive: Path | None, path: Path, key_file: Path | None) -> None:
    """Look whether the file is whole. Exit code 8 when it is not.

    \b
    Without options: header, schema, the newest events; milliseconds at any size. Whether somebody altered
    a whole file is for the hash chain to say: coldaisle history verify.

    \b
    Examples:
      coldaisle store check
      coldaisle store check --thorough
    """
    from coldaisle.core.store.backup_check import quick_check, thorough_check

    opened = store_key(key_file)
    faults = thorough_check(path, archive, key=opened) if thorough else quick_check(path, key=opened)
    for fault in faults:
        click.echo(f"DAMAGED  {fault}", err=True)
    if faults:
        click.echo("next:    restore a backup, or: coldaisle store salvage", err=True)
    click.echo(f"verdict  {'damaged' if faults else 'whole'}")
    sys.exit(DAMAGED if faults else 0)


@store.command()
@click.argument("damaged", type=ExistingStore())
@click.option("--out", "target", type=click.Path(path_type=Path), metavar="NEW", required=True,
              help="The new store; nothing may be there.")  # fmt: skip
@key
@told
def salvage(damaged: Path, target: Path, key_file: Path | None) -> None:
    """Read what is intact in the DAMAGED store into a NEW one. The damaged file is only read.

    \b
    Events keep their positions. The positions that are lost are listed, and the exit code is then 8.

    \b
    Examples:
      coldaisle store salvage coldaisle-data/events.db --out salvaged.db
    """
    from coldaisle.core.store.salvage import salvage as work

    def show(found: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\rfound {found:,} events", nl=False, err=True)

    done = work(damaged, target, show, key=store_key(key_file))
    for first, last in done.lost:
        click.echo(f"LOST      @{first}" + (f" to @{last}" if last > first else ""))
    for table in done.unreadable_tables:
        click.echo(f"LOST      the table {table!r}, or part of it")
    click.echo(f"salvaged  {done.events:,} events up to @{done.head} in {target}, {done.lost_events:,} lost")
    sys.exit(DAMAGED if done.lost or done.unreadable_tables else 0)


@store.command()
@click.argument("source", type=AnyStore(ExistingStore()), metavar="FROM")
@click.argument("target", type=AnyStore(StorePath()), metavar="TO")
@click.option("--from-key-file", type=click.Path(path_type=Path), metavar="FILE", help="The key of FROM.")
@click.option("--with-archive", is_flag=True, help="Also the events that FROM has in its archive.")
@archive_folder
@key
@chain
@told
def copy(
    source: Path | str, target: Path | str, from_key_file: Path | None, with_archive: bool,
    archive: Path | None, key_file: Path | None, chain_keys: Path | None,
) -> None:  # fmt: skip
    """Copy the history of the store FROM into the store TO, event by event, and compare both.

    \b
    For another key, a new chain, a store that shrinks after much was removed, or the move to a cluster and
    back. May be interrupted and run again. A file keeps when FROM took an event (recorded); a cluster gives
    the time of the copy. A server may use FROM meanwhile, unless its retention removes without an archive.

    \b
    Examples:
      coldaisle store copy coldaisle-data encrypted.db --key-file store.key
      coldaisle store copy coldaisle-data kurrentdb://127.0.0.1:2113?Tls=false
      coldaisle store copy env:CLUSTER_URL events.db
    """
    from coldaisle.server.opening import without_secrets
    from coldaisle.server.store_work import copy_store

    keys = (store_key(from_key_file), store_key(key_file), keys_of_chain(chain_keys, target))
    done = run(copy_store(source, target, *keys, with_archive, archive, progress("copied")))
    place = target if isinstance(target, Path) else without_secrets(target)
    click.echo(f"{place}: {done.copied:,} events copied, {done.events:,} compared and equal")
