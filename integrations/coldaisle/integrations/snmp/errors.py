"""Every error of the SNMP integration.

ColdaisleError
└── SnmpError
    ├── MalformedMessage     bytes that are no message we understand
    ├── InvalidOid           text that is no object identifier
    ├── InvalidValue         a value that its wire type cannot carry
    ├── SnmpTimeout          no answer, all tries used
    ├── AddressUnusable      a host name that does not resolve
    ├── ErrorStatus          the device refused
    ├── NonIncreasingOid     the device walks in a circle
    ├── TooManyRows          a walk reached its cap
    ├── SecurityReport       a device refused the user, the key, the level or the time
    ├── NotAuthentic         a reply that may be another's
    ├── PrivacyUnavailable   encryption without its package
    ├── TooManySockets       own sockets for too many devices at once
    ├── SocketUnavailable    a socket that the system does not give
    └── ProfileError         a device profile, or a metric that it does not describe
"""

from coldaisle.core.errors import ColdaisleError

STATUS_NAMES = (
    "noError", "tooBig", "noSuchName", "badValue", "readOnly", "genErr", "noAccess", "wrongType",
    "wrongLength", "wrongEncoding", "wrongValue", "noCreation", "inconsistentValue", "resourceUnavailable",
    "commitFailed", "undoFailed", "authorizationError", "notWritable", "inconsistentName",
)  # fmt: skip
"""The names of error-status 0 to 18 (RFC 3416, section 3)."""


_REMEDIES = {
    "unsupportedSecLevels": "the user has another security level there; set its protocols",
    "notInTimeWindows": "its clock could not be followed; look at its engine boots and time",
    "unknownUserNames": "it does not know this user; correct the name or add the user there",
    "unknownEngineIDs": "its engine id changed while we asked; try again",
    "wrongDigests": "the authentication protocol or pass phrase is wrong",
    "decryptionErrors": "the privacy protocol, pass phrase or key expansion is wrong",
}


class SnmpError(ColdaisleError):
    """Root of the errors of this integration."""


class MalformedMessage(SnmpError):  # noqa: N818 - named for the situation
    """Raised when bytes are not a message; keep ``raw`` (cut at its first bytes) and go on."""

    def __init__(self, reason: str, raw: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.raw = raw


class InvalidOid(SnmpError):  # noqa: N818 - named for the situation
    """Raised when text is not an object identifier; write it as numbers with dots."""


class InvalidValue(SnmpError):  # noqa: N818 - named for the situation
    """Raised when a value does not fit its wire type; correct the value or the type."""


class SnmpTimeout(SnmpError):  # noqa: N818 - named for the situation
    """Raised when a device did not answer in time; check address, community and network, or try later."""


class AddressUnusable(SnmpError):  # noqa: N818 - named for the situation
    """Raised when a host does not resolve to an address; correct the device's address."""


class ErrorStatus(SnmpError):  # noqa: N818 - named for the situation
    """Raised when a device answers with an error; ``index`` counts varbinds from 1, 0 means none."""

    def __init__(self, status: int, index: int, oid: str) -> None:
        self.status = status
        self.index = index
        self.oid = oid
        self.name = STATUS_NAMES[status] if 0 <= status < len(STATUS_NAMES) else f"error {status}"
        super().__init__(f"the device answered {self.name}" + (f" for {oid}" if oid else ""))


class NonIncreasingOid(SnmpError):  # noqa: N818 - named for the situation
    """Raised when a walk does not go forward; the device is faulty, read its objects one by one."""

    def __init__(self, last: str, following: str) -> None:
        super().__init__(f"the device answered {following} after {last}")
        self.last = last
        self.following = following


class TooManyRows(SnmpError):  # noqa: N818 - named for the situation
    """Raised when a walk reached its cap of rows or bytes: walk a smaller subtree, or raise the cap."""


class SecurityReport(SnmpError):  # noqa: N818 - named for the situation
    """Raised when a device answers a version 3 request with a report; the message says what to correct.

    ``is_mended`` tells that the report brought what the next try needs.
    """

    def __init__(self, name: str, device: str, *, is_mended: bool = False) -> None:
        self.name = name
        self.is_mended = is_mended
        super().__init__(f"{device} reports {name}: {_REMEDIES.get(name, 'see its own log')}")


class NotAuthentic(SnmpError):  # noqa: N818 - named for the situation
    """Raised when all that came for a version 3 request failed its checks; look for what is in between."""


class PrivacyUnavailable(SnmpError):  # noqa: N818 - named for the situation
    """Raised when encryption is asked for and ``cryptography`` is missing; install coldaisle[snmpv3]."""


class TooManySockets(SnmpError):  # noqa: N818 - named for the situation
    """Raised when too many devices use their own socket at once; let those that can share one."""


class SocketUnavailable(SnmpError):  # noqa: N818 - named for the situation
    """Raised when the system gives no socket; raise its limit of open files, or enable IPv6 in it."""


class ProfileError(SnmpError):
    """Raised when a profile is wrong or does not describe what was asked; the message names the place."""
