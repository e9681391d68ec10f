"""Signed checkpoints: where a history stood, in a form to publish where its owner cannot take it back.

Ed25519 over a canonical text. Needs the package ``cryptography`` (extra ``server``) to sign and to verify.
"""

import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import msgspec
from msgspec import Struct

from coldaisle.core.errors import ChainKeyUnusable, CheckpointInvalid
from coldaisle.core.store.chain import NO_HASH
from coldaisle.core.store.chain_keys import write_whole
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import last_batch, load_epochs, store_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT = "coldaisle-checkpoint-1"
_ID_CHARACTERS = 16


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """A store's id, position and chain hash at a moment (UTC ns), signed; bytes as hexadecimal text."""

    format: str
    store: str
    position: int
    chain_hash: str
    time: int
    key_id: str
    signature: str = ""

    def signed_text(self) -> bytes:
        """What the signature is over: the fields in order, a line each."""
        fields = (self.format, self.store, self.position, self.chain_hash, self.time, self.key_id)
        return "".join(f"{field}\n" for field in fields).encode()


_decoder = msgspec.json.Decoder(Checkpoint)


class SigningKey:
    """A private Ed25519 key with its id. Shows the id only."""

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.id = public_id(self.public)

    def __repr__(self) -> str:
        return f"SigningKey({self.id})"

    def sign(self, text: bytes) -> str:
        """The signature as hexadecimal text."""
        return self._private.sign(text).hex()


def public_id(public: bytes) -> str:
    """The name of a key: the beginning of its hash."""
    return sha256(public).hexdigest()[:_ID_CHARACTERS]


def add_signing_key(path: Path, public_path: Path) -> SigningKey:
    """Make a key and put it in force; its public half joins those of the keys before it.

    The public half comes first: alone it harms nothing, and a key without it signs what nobody verifies.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    key = SigningKey(private)
    known = public_path.read_text("ascii") if public_path.exists() else ""
    write_whole(public_path, f"{known}{key.id} {key.public.hex()}\n".encode(), mode=0o644)
    write_whole(path, private.private_bytes_raw().hex().encode() + b"\n")
    return key


def load_signing_key(path: Path) -> SigningKey:
    """The private key from its file. Raises ChainKeyUnusable."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        return SigningKey(
            Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
        )
    except OSError as error:
        raise ChainKeyUnusable(
            f"{path}: cannot be read ({error.strerror}); `coldaisle history keys new` makes a signing key"
        ) from error
    except ValueError as error:
        raise ChainKeyUnusable(f"{path} holds no signing key: 64 hexadecimal digits are one") from error


def load_public_keys(path: Path) -> dict[str, bytes]:
    """Public keys by id, from lines ``<id> <hex>``. Raises ChainKeyUnusable."""
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
        keys = {public_id(bytes.fromhex(words[-1])): bytes.fromhex(words[-1]) for words in lines}
    except OSError as error:
        raise ChainKeyUnusable(f"{path}: cannot be read ({error.strerror}); name the public keys") from error
    except ValueError as error:
        raise ChainKeyUnusable(f"{path} holds no public keys: lines of an id and 64 digits do") from error
    return keys


async def make_checkpoint(store: SqliteStore, key: SigningKey) -> Checkpoint:
    """Sign where the history stands. It says nothing of whether the chain holds: verify it as well."""
    return await store.inspect(lambda connection: checkpoint_at(connection, key, None))


def checkpoint_at(connection: apsw.Connection, key: SigningKey, position: int | None) -> Checkpoint:
    """Sign the end of the batch at ``position``; None: the last batch."""
    if not load_epochs(connection):
        raise ChainKeyUnusable("this history has no hash chain: serve it with a chain key")
    last = last_batch(connection) if position is None else last_batch(connection, position)
    reached, chain_hash = last or (0, NO_HASH)
    unsigned = Checkpoint(
        FORMAT, store_id(connection).hex(), reached, chain_hash.hex(), time.time_ns(), key.id
    )
    return msgspec.structs.replace(unsigned, signature=key.sign(unsigned.signed_text()))


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """A line of JSON."""
    return msgspec.json.encode(checkpoint) + b"\n"


def decode_checkpoint(text: bytes, public_keys: dict[str, bytes]) -> Checkpoint:
    """The checkpoint, once its signature holds. Raises CheckpointInvalid."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        checkpoint = _decoder.decode(text)
        signature = bytes.fromhex(checkpoint.signature)
    except ValueError as error:
        raise CheckpointInvalid(f"this is no checkpoint ({error}); give one as it was published") from error
    public = public_keys.get(checkpoint.key_id)
    if checkpoint.format != FORMAT or public is None:
        raise CheckpointInvalid(
            f"a checkpoint of format {checkpoint.format!r} and key {checkpoint.key_id!r}: "
            f"give the public key for it; known are {', '.join(public_keys)}"
        )
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, checkpoint.signed_text())
    except InvalidSignature as error:
        raise CheckpointInvalid(
            f"the signature of the checkpoint at {checkpoint.position} does not hold: it was altered"
        ) from error
    return checkpoint
