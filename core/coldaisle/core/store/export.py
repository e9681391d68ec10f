"""A range of the history with its proof, as files that anybody verifies without Coldaisle.

``events.jsonl`` has an event a line; ``manifest.json`` the digests, the batches of the chain around them,
a checkpoint at their end, and a signature over all of that. ``tools/verify_export.py`` verifies both with
the standard library alone: the signature with the public key, and the chain itself with the chain's key.
"""

import json
import shutil
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import cast

import apsw
from msgspec import Struct, field

from coldaisle.core.errors import ChainKeyUnusable, StoreError
from coldaisle.core.events.ids import id_text
from coldaisle.core.store.chain import ALGORITHM, DIGEST_BYTES, NO_HASH, Fields, is_digest_of
from coldaisle.core.store.chain_culprit import stored_events
from coldaisle.core.store.checkpoints import SigningKey, checkpoint_at, encode_checkpoint
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import (
    Batch,
    batches,
    last_batch,
    load_epochs,
    removal_records,
    store_id,
)

FORMAT = "coldaisle-export-2"
EVENTS_FILE = "events.jsonl"
MANIFEST_FILE = "manifest.json"
STEP_EVENTS = 1_000
MAX_EXPORT_EVENTS = 1_000_000
"""Positions in one manifest: whoever writes or verifies it holds some 300 bytes for each in memory."""

Progress = Callable[[int, int], None]
"""Takes the position exported up to, and the last one."""


class Altered(StoreError):  # noqa: N818 - named for the situation
    """Raised when an event in the range is not what was appended; verify the history, nothing is exported."""


class Exported(Struct, frozen=True):
    """What an export holds: events written, and positions in the range that retention had removed."""

    first_position: int
    last_position: int
    events: int
    removed: int


class _Part(Struct, frozen=True):
    """Of some positions: the events' lines and the last one's position (0: none), the seals of what is gone.

    ``emptied`` are the batches there of which nothing is left.
    """

    lines: list[bytes]
    newest: int
    seals: dict[int, str]
    emptied: list[Batch]


class _Collected(Struct):
    """What the parts of an export come to."""

    events: int = 0
    newest: int = 0
    seals: dict[int, str] = field(default_factory=dict)
    emptied: dict[int, Batch] = field(default_factory=dict)

    def take(self, part: _Part, start: int) -> None:
        """One more part, from this position on. Raises StoreError where what was taken has no proof now."""
        for batch in part.emptied:
            if batch.first_position <= self.newest:
                raise StoreError(
                    f"retention removed events before position {start} while they were exported: export "
                    "again; nothing is left of this one"
                )
            self.emptied[batch.last_position] = batch
        self.seals.update(part.seals)
        self.events, self.newest = self.events + len(part.lines), part.newest or self.newest

    def removed(self) -> dict[str, str]:
        """The seals by position, but for the batches that have one of their own by now."""
        emptied = self.emptied.values()
        gone = {at for each in emptied for at in range(each.first_position, each.last_position + 1)}
        return {str(at): seal for at, seal in self.seals.items() if at not in gone}


async def export(
    store: SqliteStore,
    folder: Path,
    first: int,
    last: int,
    key: SigningKey,
    progress: Progress = lambda *_: None,
) -> Exported:
    """Write the events of positions ``first`` to ``last`` and their proof into a new folder.

    Every event is held against its digest on the way: what was altered is not exported.
    """
    if last - first >= MAX_EXPORT_EVENTS:
        raise StoreError(
            f"positions {first} to {last} are {last - first + 1}, and an export holds {MAX_EXPORT_EVENTS} at "
            "most: write several, each with its own proof"
        )
    manifest, found = await store.inspect(lambda connection: _manifest(connection, first, last, key))
    _make(folder)
    try:
        return await _write(store, folder, manifest, found, key, progress)
    except BaseException as error:  # also a cancelled export leaves nothing that looks like one
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise StoreError(
                f"{folder} cannot be written ({error.strerror}), and nothing is left there: make room, or "
                "name another place"
            ) from error
        raise


async def _write(
    store: SqliteStore,
    folder: Path,
    manifest: dict[str, object],
    found: list[Batch],
    key: SigningKey,
    progress: Progress,
) -> Exported:
    first, last = cast("int", manifest["first_position"]), cast("int", manifest["last_position"])
    collected, hashed = _Collected(), sha256()
    with (folder / EVENTS_FILE).open("xb") as file:
        for start in range(first, last + 1, STEP_EVENTS):
            end = min(last, start + STEP_EVENTS - 1)
            part = await store.inspect(partial(_part, first=start, last=end))
            collected.take(part, start)
            for line in part.lines:
                file.write(line)
                hashed.update(line)
            progress(end, last)
    manifest |= {
        "batches": [_shown(collected.emptied.get(batch.last_position, batch)) for batch in found],
        "events_sha256": hashed.hexdigest(),
        "removed": collected.removed(),
    }
    _write_signed(folder / MANIFEST_FILE, manifest, key)
    return Exported(first, last, collected.events, last - first + 1 - collected.events)


def _shown(batch: Batch) -> dict[str, object]:
    shown: dict[str, object] = {
        "last_position": batch.last_position,
        "hash": batch.hash.hex(),
        "digests": batch.digests.hex(),
    }
    return shown if batch.emptied_from is None else shown | {"emptied_from": batch.emptied_from}


def _manifest(
    connection: apsw.Connection, first: int, last: int, key: SigningKey
) -> tuple[dict[str, object], list[Batch]]:
    """What the manifest tells beside events and batches, and the batches as they are now."""
    epochs = load_epochs(connection)
    found = _batches(connection, first, last)
    chained = bool(epochs and found) and found[0].first_position <= first <= last <= found[-1].last_position
    if not chained:
        raise ChainKeyUnusable(
            f"positions {first} to {last} are not all in the hash chain: name a range from "
            f"{epochs[0].first_position if epochs else 'a chained history'} to the head"
        )
    _, before = last_batch(connection, found[0].last_position - 1) or (0, NO_HASH)
    manifest: dict[str, object] = {
        "format": FORMAT,
        "algorithm": ALGORITHM,
        "store": store_id(connection).hex(),
        "first_position": first,
        "last_position": last,
        "chain_before": before.hex(),
        "epochs": [[epoch.key_id, epoch.first_position] for epoch in epochs],
        "checkpoint": json.loads(encode_checkpoint(checkpoint_at(connection, key, found[-1].last_position))),
        "public_key": key.public.hex(),
    }
    return manifest, found


def _batches(connection: apsw.Connection, first: int, last: int) -> list[Batch]:
    """Every batch that touches the range."""
    found: list[Batch] = []
    for batch in batches(connection, first - 1):
        if batch.first_position > last:
            break
        found.append(batch)
    return found


def _part(connection: apsw.Connection, first: int, last: int) -> _Part:
    """In one state: retention may go on beside."""
    connection.execute("BEGIN")
    try:
        return _checked_part(connection, first, last)
    finally:
        connection.execute("COMMIT")


def _checked_part(connection: apsw.Connection, first: int, last: int) -> _Part:
    rows = {row[0]: row for row in stored_events(connection, first, last)}
    removed = removal_records(connection, first, last)
    found = _batches(connection, first, last)
    lines, newest = [], 0
    for batch in found:
        for position in range(max(first, batch.first_position), min(last, batch.last_position) + 1):
            event = rows.get(position)
            if event is None and (position in removed or batch.emptied_from is not None):
                continue
            if event is None or not is_digest_of(batch.digest(position), event):
                raise Altered(
                    f"position {position} is not what was appended: run `coldaisle history verify`; "
                    "nothing that was altered is exported"
                )
            lines.append(_line(event))
            newest = position
    seals = {position: record[DIGEST_BYTES:].hex() for position, record in removed.items()}
    return _Part(lines, newest, seals, [batch for batch in found if batch.emptied_from is not None])


def _line(event: Fields) -> bytes:
    position, stream, version, own, type_name, schema, time, recorded, actor, data, correlation, cause = event
    shown: dict[str, object] = {
        "position": position, "stream": stream, "version": version, "id": id_text(own), "type": type_name,
        "schema": schema, "time": time, "recorded": recorded, "actor": actor,
        "correlation_id": correlation.hex() if correlation else None,
        "causation_id": cause.hex() if cause else None,
    }  # fmt: skip
    try:
        shown["data"] = data.decode()
    except UnicodeDecodeError:
        shown["data_hex"] = data.hex()
    return json.dumps(shown, ensure_ascii=False).encode() + b"\n"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise StoreError(f"{folder} is there already: name a new folder") from error
    except OSError as error:
        raise StoreError(f"{folder} cannot be made ({error.strerror}): check the place") from error


def _write_signed(path: Path, manifest: dict[str, object], key: SigningKey) -> None:
    """The signature is over the rest as JSON with sorted keys, no spaces, ASCII."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["signature"] = key.sign(text.encode())
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "ascii")
