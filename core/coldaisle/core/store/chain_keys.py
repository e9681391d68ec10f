"""The keys of the hash chain: a file of lines ``<key id> <key in hex>``; the last line is in force.

Earlier lines verify what was written under them: rotating adds a line, and no line is ever taken away.
"""

import contextlib
import os
import secrets
from hashlib import sha256
from pathlib import Path

from coldaisle.core.errors import ChainKeyUnusable

KEY_BYTES = 32
MAX_KEY_FILE_BYTES = 65_536
_ID_CHARACTERS = 12


class ChainKeys:
    """Keys by their id, the one in force last. Shows ids only, also when printed."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys
        self.current = list(keys)[-1]

    def __repr__(self) -> str:
        return f"ChainKeys({', '.join(self._keys)})"

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def __getitem__(self, key_id: str) -> bytes:
        if key_id not in self._keys:
            raise ChainKeyUnusable(
                f"the history was chained with key {key_id}, which is not among those given ({self!r}): "
                "give the file of this store's keys"
            )
        return self._keys[key_id]

    def since(self, key_id: str) -> list[bytes]:
        """This key, and those that came after it: an older one, stolen, vouches for nothing of theirs."""
        keys = list(self._keys.values())
        return keys[keys.index(self[key_id]) :]

    @property
    def ids(self) -> list[str]:
        """The ids, oldest first."""
        return list(self._keys)


def key_id(key: bytes) -> str:
    """The name of a key; says nothing of it."""
    return sha256(b"coldaisle key id" + key).hexdigest()[:_ID_CHARACTERS]


def new_chain_keys() -> ChainKeys:
    """One fresh key, not written anywhere."""
    key = secrets.token_bytes(KEY_BYTES)
    return ChainKeys({key_id(key): key})


def parse_chain_keys(text: str, source: str) -> ChainKeys:
    """Keys from the text of a file or of an environment variable; ``source`` names it in errors."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            key = bytes.fromhex(words[-1])
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES or words[:-1] not in ([], [key_id(key)]):
            raise ChainKeyUnusable(
                f"{source}, line {number}: no key and its id; `coldaisle history keys new` makes such a file"
            )
        keys[key_id(key)] = key
    if not keys:
        raise ChainKeyUnusable(f"{source} holds no key; `coldaisle history keys new` makes one")
    return ChainKeys(keys)


def load_chain_keys(path: Path) -> ChainKeys:
    """Keys from a file. Raises ChainKeyUnusable."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_KEY_FILE_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise ChainKeyUnusable(
            f"{path}: cannot be read ({error.strerror}); name the chain's key file"
        ) from error
    return parse_chain_keys(text, str(path))


def add_chain_key(path: Path) -> str:
    """Put a fresh key in force, in a file that only its owner reads; the id of the key."""
    key = secrets.token_bytes(KEY_BYTES)
    known = load_chain_keys(path).ids if path.exists() else []
    line = f"{key_id(key)} {key.hex()}\n".encode()
    write_whole(path, line if not known else path.read_bytes().rstrip(b"\n") + b"\n" + line)
    return key_id(key)


def load_or_make_chain_keys(path: Path) -> ChainKeys:
    """Keys from a file that is made when it is not there."""
    if not path.exists():
        add_chain_key(path)
    return load_chain_keys(path)


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file whole, and have it on disk; unless said otherwise, its owner alone reads it."""
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "wb") as file:
            _give_to_owner_of(path, descriptor)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):  # the folder itself may be what is wrong
            part.unlink()
        raise ChainKeyUnusable(f"{path}: cannot be written ({error.strerror}); check the folder") from error


def _give_to_owner_of(path: Path, descriptor: int) -> None:
    """Who rotates keys need not be who serves the store, and that one is to read them."""
    if not path.exists():
        return
    was, now = path.stat(), os.fstat(descriptor)
    if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(descriptor, was.st_uid, was.st_gid)
