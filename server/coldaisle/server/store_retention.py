"""``coldaisle store retention`` and ``coldaisle store archive``. Only click at import."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coldaisle.server.store_options import (
    Age,
    archive_folder,
    chain,
    data,
    key,
    keys_of_chain,
    plain_archive,
    progress,
    run,
    store_key,
    told,
)

if TYPE_CHECKING:
    from coldaisle.core.store.retention import Scavenged


@click.group()
def retention() -> None:
    """Say how long events are kept, and remove what is older.

    \b
    Per category, the part of a stream's name before '-'. Telemetry and logs may go; facts and actions are
    kept for ever unless you insist. Nothing is removed before `apply`, and nothing that a snapshot of twin
    and detection does not cover: start and stop the server once after an upgrade.

    \b
    Examples:
      coldaisle store retention set telemetry 90d
      coldaisle store retention apply --archive /archive/coldaisle
    """


@retention.command("set")
@click.argument("category")
@click.argument("age", type=click.UNPROCESSED)
@click.option("--even-facts", is_flag=True, help="Also where the category holds facts or actions.")
@data
@key
@chain
@told
def set_age(
    category: str, age: str, even_facts: bool, path: Path, key_file: Path | None, chain_keys: Path | None
) -> None:
    """Keep events of CATEGORY for AGE (such as 90d), or `forever`.

    \b
    Examples:
      coldaisle store retention set telemetry 90d
      coldaisle store retention set logs forever
    """
    from coldaisle.server.store_work import set_age as work

    seconds = None if age == "forever" else Age().convert(age, None, None)
    run(work(path, category, seconds, even_facts, store_key(key_file), keys_of_chain(chain_keys, path)))
    click.echo(f"{category}: kept {'for ever' if seconds is None else f'for {age}'}")


@retention.command("show")
@data
@key
@told
def show_ages(path: Path, key_file: Path | None) -> None:
    """Show how long each category is kept; what is not named is kept for ever."""
    from coldaisle.server.store_work import ages

    for category, seconds in ages(path, store_key(key_file)).items():
        click.echo(f"{category:<12} {seconds / 86_400:g}d")


@retention.command("apply")
@archive_folder
@click.option("--without-archive", is_flag=True, help="Remove for good what is old.")
@plain_archive
@click.option("--deleted-streams", is_flag=True, help="Also, for good, what deletion and truncation hid.")
@data
@key
@chain
@told
def apply_ages(
    archive: Path | None, without_archive: bool, plain_archive: bool, deleted_streams: bool,
    path: Path, key_file: Path | None, chain_keys: Path | None,
) -> None:  # fmt: skip
    """Remove what is older than its age; archive it first.

    \b
    Small steps, each on disk when it is done: it may be interrupted at any point and goes on from there.
    The server must not be running; it applies ages by itself where its settings have them: [retention].

    \b
    Examples:
      coldaisle store retention apply --archive /archive/coldaisle
      coldaisle store retention apply --without-archive
    """
    from coldaisle.server.store_work import apply_retention

    keys = (store_key(key_file), keys_of_chain(chain_keys, path))
    how = (archive, without_archive, plain_archive, deleted_streams)
    for done in run(apply_retention(path, *how, *keys, progress("looked at:"))):
        _say(done)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--category", default="telemetry", show_default=True, help="The part of streams' names before '-'."
)
@click.option("--older-than", "age", type=Age(), metavar="AGE", required=True, help="Such as 30d.")
@click.option("--even-facts", is_flag=True, help="Also where the category holds facts or actions.")
@plain_archive
@data
@key
@chain
@told
def archive(
    folder: Path, category: str, age: int, even_facts: bool, plain_archive: bool,
    path: Path, key_file: Path | None, chain_keys: Path | None,
) -> None:  # fmt: skip
    """Move events older than AGE into compressed files in FOLDER, once.

    \b
    The files are JSON lines under zstd; the history still replays with them, and `zstd -dc` reads them.
    They are not encrypted: of an encrypted store only with --plain-archive. The server must not be running.

    \b
    Examples:
      coldaisle store archive /archive/coldaisle --older-than 30d
    """
    from coldaisle.server.store_work import archive_once

    keys = (store_key(key_file), keys_of_chain(chain_keys, path))
    how = (folder, category, age, even_facts, plain_archive)
    _say(run(archive_once(path, *how, *keys, progress("looked at:"))))


@click.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@archive_folder
@data
@key
@told
def parquet(target: Path, archive: Path | None, path: Path, key_file: Path | None) -> None:
    """Write the whole history, also what is archived, to the Parquet file TARGET.

    \b
    One row an event, the payload as JSON; for tools that read columns (DuckDB, pandas). It is no
    archive, nothing reads it back, and it is not encrypted. Needs pip install 'coldaisle[parquet]'.

    \b
    Examples:
      coldaisle store parquet history.parquet
    """
    from coldaisle.server.store_work import export_parquet

    count = run(export_parquet(path, target, archive, store_key(key_file), progress("written")))
    click.echo(f"{target}: {count:,} events")


def _say(done: "Scavenged") -> None:
    held = f"; {done.held_back}" if done.held_back else ""
    click.echo(f"{done.category:<12} {done.removed:,} removed, {done.archived:,} archived{held}")
