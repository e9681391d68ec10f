"""Opens the history that a server works on: the embedded file, or a KurrentDB cluster by its URL."""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from coldaisle.core.errors import ConfigError, StoreLocked
from coldaisle.core.store import EventStore
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.backup_check import require_whole
from coldaisle.core.store.chain_keys import ChainKeys, load_chain_keys, load_or_make_chain_keys
from coldaisle.core.store.cipher import StoreKey, load_store_key, store_key_from_environment
from coldaisle.core.store.lock import lock
from coldaisle.core.store.snapshots import Snapshots, SqliteSnapshots
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import is_chained
from coldaisle.server.store_options import CHAIN_KEY_FILE, STORE_FILE

if TYPE_CHECKING:
    from coldaisle.integrations.kurrent import KurrentStore
    from coldaisle.server.settings import ServeSettings


RUNNER_FILE = "runner"
NAME_BYTES = 4


class Opened(Struct, frozen=True):
    """A store ready for work. ``history`` also has what was archived; ``name`` holds no secret.

    ``runner`` is what this server calls itself where it drives runs: no other server on the store does.
    """

    store: EventStore
    history: EventStore | ArchivedHistory
    snapshots: Snapshots | None
    name: str
    runner: str


@contextlib.asynccontextmanager
async def open_history(serve: "ServeSettings", folder: Path) -> AsyncIterator[Opened]:
    """The history as long as the block runs."""
    url = _cluster(serve)
    async with _open_cluster(url, serve, folder) if url else _open_file(serve, folder) as opened:
        yield opened


@contextlib.asynccontextmanager
async def _open_file(serve: "ServeSettings", folder: Path) -> AsyncIterator[Opened]:
    """Appends are chained under a key that is made when there is none."""
    path, key = folder / STORE_FILE, _store_key(serve)
    chain = _chain_keys(Path(serve.chain_key_file or folder / CHAIN_KEY_FILE), path, key)
    max_bytes = serve.max_store_bytes or None
    async with SqliteStore(path, max_bytes=max_bytes, key=key, chain=chain) as store:
        await require_whole(store)
        yield Opened(store, ArchivedHistory(store), SqliteSnapshots(store), str(path), "runner/server")


def _chain_keys(file: Path, path: Path, key: StoreKey | None) -> ChainKeys:
    """Made where there are none, but for a history that was chained: only its own keys go on with that."""
    if not file.exists() and path.exists() and path.stat().st_size and is_chained(path, key):
        return load_chain_keys(file)
    return load_or_make_chain_keys(file)


@contextlib.asynccontextmanager
async def _open_cluster(url: str, serve: "ServeSettings", folder: Path) -> AsyncIterator[Opened]:
    """Integrity and encryption are then the cluster's; twin and reactors replay from its first event."""
    with own_runner_name(folder) as runner:
        async with open_cluster(url, serve.store_ca_file) as store:
            yield Opened(store, store, None, without_secrets(url), runner)


@contextlib.contextmanager
def own_runner_name(folder: Path) -> Iterator[str]:
    """A name that stays with the data folder, held as long as the block runs.

    A cluster, other than a file, does not keep two servers apart. Under one name each would take the other's
    steps for its own, left by a crash: probe them while they are under way, and take them once more.
    """
    path = folder / RUNNER_FILE
    try:
        held = lock(path)
    except StoreLocked as error:
        raise ConfigError(
            f"another server runs with the data folder {str(folder)!r}: stop it, or name another with --data"
        ) from error
    try:
        if not path.exists():
            path.write_text(f"runner/{secrets.token_hex(NAME_BYTES)}\n")
        yield path.read_text().strip()
    finally:
        os.close(held)


def open_cluster(url: str, ca_file: str = "") -> "KurrentStore":
    """A cluster as a store, to be entered. Raises ConfigError for another URL, or without the extra."""
    try:
        from coldaisle.integrations.kurrent import KurrentConfig, KurrentStore

        config = msgspec.convert({"uri": url, "certificate_file": ca_file}, KurrentConfig)
    except ImportError as error:
        raise ConfigError(
            f"a cluster needs the package {error.name}: pip install 'coldaisle[kurrent]'"
        ) from error
    except msgspec.ValidationError:
        raise ConfigError(
            f"{without_secrets(url)} is no URL of a cluster: write kurrentdb://host:2113, or esdb://…"
        ) from None
    return KurrentStore(config)


def _cluster(serve: "ServeSettings") -> str:
    if not serve.store_env:
        return serve.store
    try:
        return os.environ[serve.store_env]
    except KeyError:
        raise ConfigError(
            f"serve.store_env: the environment has no {serve.store_env}; set it to the URL"
        ) from None


def without_secrets(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _store_key(serve: "ServeSettings") -> StoreKey | None:
    if serve.store_key_file:
        return load_store_key(Path(serve.store_key_file))
    return store_key_from_environment(serve.store_key_env) if serve.store_key_env else None
