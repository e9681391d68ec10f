"""Encryption of a store's file: every page of the database and of its WAL, with AEGIS-256.

The key is 32 random bytes, given by a file or an environment variable; it never enters the file. A changed
page does not decrypt, so damage is found too. Backups made by ``VACUUM INTO`` are under the same key.
"""

import os
import secrets
from pathlib import Path

import apsw

from coldaisle.core.errors import CipherMissing, StoreKeyWrong, StoreUnreadable

CIPHER = "aegis"
KEY_BYTES = 32
MAX_KEY_FILE_BYTES = 4_096
_PLAIN_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 72
_FRACTIONS, _APPLICATION = slice(21, 24), slice(68, 72)
"""In every SQLite file, in plain text though it is encrypted; in every store, unless it is encrypted."""


class StoreKey:
    """A key. Never shown, also when printed."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise StoreKeyWrong(
                f"a store's key has {KEY_BYTES} bytes, this one has {len(key)}: make a new one"
            )
        self._key = key

    def __repr__(self) -> str:
        return "StoreKey(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreKey) and secrets.compare_digest(self._key, other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def hex(self) -> str:
        """The key as its file holds it: 64 hexadecimal digits."""
        return self._key.hex()


def new_store_key() -> StoreKey:
    """A fresh key, not written anywhere."""
    return StoreKey(secrets.token_bytes(KEY_BYTES))


def load_store_key(path: Path) -> StoreKey:
    """The key from a file of 64 hexadecimal digits. Raises StoreKeyWrong."""
    try:
        with path.open("rb") as file:
            return _parsed(file.read(MAX_KEY_FILE_BYTES).decode("ascii", "replace"), str(path))
    except OSError as error:
        raise StoreKeyWrong(
            f"{path}: cannot be read ({error.strerror}); name the store's key file"
        ) from error


def store_key_from_environment(name: str) -> StoreKey:
    """The key from an environment variable of 64 hexadecimal digits. Raises StoreKeyWrong."""
    if name not in os.environ:
        raise StoreKeyWrong(f"the environment variable {name} is not set; put the store's key there")
    return _parsed(os.environ[name], f"the environment variable {name}")


def unlock(connection: apsw.Connection, path: Path, key: StoreKey | None) -> None:
    """Give the connection its key, and make sure that the file opens with it.

    Raises CipherMissing, or StoreKeyWrong that says whether the key is missing, wrong or not needed, or
    StoreUnreadable for a file that is none of SQLite's.
    """
    header = _header(path)
    plain = header.startswith(_PLAIN_MAGIC)
    if key is None:
        if header and not plain:
            if header[_FRACTIONS] == b"\x40\x20\x20" and header[_APPLICATION] != b"COLD":
                raise StoreKeyWrong(f"{path} does not open, because it is encrypted: give its key")
            raise StoreUnreadable(f"{path} is not an SQLite file: name another file, or restore a backup")
        return
    if plain:
        raise StoreKeyWrong(f"{path} is not encrypted, but a key was given: encrypt it, or give no key")
    _set_cipher(connection, path)
    connection.execute(f"PRAGMA key='raw:{key.hex}'")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018 - the first page is read here
    except apsw.NotADBError as error:
        raise StoreKeyWrong(
            f"{path} does not open with this key: give the key it was encrypted with (or it is no store, or "
            "damaged at its beginning)"
        ) from error


def keyed_name(path: Path, key: StoreKey) -> str:
    """A name for SQLite, of a file that it is to make under this key. A secret: it holds the key."""
    _require_cipher(path)
    return f"{path.absolute().as_uri()}?cipher={CIPHER}&key=raw:{key.hex}"


def _set_cipher(connection: apsw.Connection, path: Path) -> None:
    _require_cipher(path)
    connection.execute(f"PRAGMA cipher='{CIPHER}'").fetchall()


def _require_cipher(path: Path) -> None:
    if not hasattr(apsw, "mc_version"):
        raise CipherMissing(
            f"{path} is to be encrypted, and this SQLite cannot: uninstall apsw, "
            "then reinstall apsw-sqlite3mc (both bring a module named apsw, and the last one installed wins)"
        )


def _header(path: Path) -> bytes:
    """How the file begins; empty: there is nothing in it yet."""
    try:
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except OSError:
        return b""  # opening it says why, better


def _parsed(text: str, source: str) -> StoreKey:
    try:
        return StoreKey(bytes.fromhex(text.strip()))
    except ValueError as error:
        raise StoreKeyWrong(f"{source} is no key: 64 hexadecimal digits are") from error
