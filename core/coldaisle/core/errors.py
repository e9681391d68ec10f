"""Every error that Coldaisle raises on purpose.

ColdaisleError
├── ConfigError             a settings file, playbook or inventory is wrong
├── EventError              an event cannot be encoded or decoded
└── StoreError              the event store refused or failed
    ├── WrongVersion        another writer was first
    ├── DuplicateEvent      part of an append is already stored
    ├── TooLarge            an event or append is over its bound
    ├── StreamTombstoned    the stream takes no appends, for ever
    ├── StoreFull           the disk has no room
    ├── StoreLocked         another process writes to this store
    ├── SchemaTooNew        a newer Coldaisle made this store
    ├── CipherMissing       the SQLite library at hand cannot encrypt
    ├── ChainKeyUnusable    the key of the hash chain is missing, wrong or unreadable
    ├── CheckpointInvalid   a checkpoint's signature does not hold
    └── StoreUnreadable     the file is not a store, or is damaged
        ├── ArchiveAltered  a segment is there, and is not what was archived
        ├── SchemaTooOld    no server of this Coldaisle has opened it yet
        ├── StoreDenied     the system does not let it be opened
        └── StoreKeyWrong   it is encrypted, and the key does not fit or is missing
"""


class ColdaisleError(Exception):
    """Root of every error raised on purpose; the message says what, where and the next step."""


class ConfigError(ColdaisleError):
    """Raised when settings, a playbook or an inventory is wrong; correct the named place and start again."""


class EventError(ColdaisleError):
    """Raised when an event cannot be encoded or decoded; the event is kept raw, never dropped."""


class StoreError(ColdaisleError):
    """Raised when the event store refuses or fails; the append did not happen."""


class WrongVersion(StoreError):  # noqa: N818 - named for the situation
    """Raised when a stream is not at the expected version; read it again and decide anew."""

    def __init__(self, stream: str, expected: int | str, actual: int) -> None:
        super().__init__(f"stream {stream!r} is at version {actual}, expected {expected}")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class DuplicateEvent(StoreError):  # noqa: N818 - named for the situation
    """Raised when some, not all, events of an append are already stored; the producer mixed batches."""


class TooLarge(StoreError):  # noqa: N818 - named for the situation
    """Raised when an event or append exceeds its bound; split it."""


class StreamTombstoned(StoreError):  # noqa: N818 - named for the situation
    """Raised when a stream was closed for ever; append to another stream."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"stream {stream!r} is tombstoned: it takes no appends, for ever; use another name")
        self.stream = stream


class StoreFull(StoreError):  # noqa: N818 - named for the situation
    """Raised when the disk has no room; free space and append again, nothing was written."""


class StoreLocked(StoreError):  # noqa: N818 - named for the situation
    """Raised when another process writes to this store; stop it, or open the store read-only."""


class SchemaTooNew(StoreError):  # noqa: N818 - named for the situation
    """Raised when a newer Coldaisle made this store; upgrade Coldaisle, the file was not touched."""


class StoreUnreadable(StoreError):  # noqa: N818 - named for the situation
    """Raised when the file is not a store or is damaged; restore it from a backup."""


class ArchiveAltered(StoreUnreadable):
    """Raised when a segment holds something else than was archived; restore it and the store from a copy."""


class SchemaTooOld(StoreUnreadable):
    """Raised when a store is to be migrated before it is read; start the server on it once."""


class StoreDenied(StoreUnreadable):
    """Raised when the system does not let a store be opened; check the folder and its permissions."""


class StoreKeyWrong(StoreUnreadable):
    """Raised when an encrypted store is opened with a wrong key or none; give the key it was made with."""


class CipherMissing(StoreError):  # noqa: N818 - named for the situation
    """Raised when SQLite at hand cannot encrypt; have apsw-sqlite3mc alone installed, without apsw."""


class ChainKeyUnusable(StoreError):  # noqa: N818 - named for the situation
    """Raised when the chain's key is missing, wrong or unreadable; give the file that serves this store."""


class CheckpointInvalid(StoreError):  # noqa: N818 - named for the situation
    """Raised when a checkpoint or its signature does not hold; get it from where it was published."""
