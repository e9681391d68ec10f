"""The counters that a Report carries, by name (RFC 3414 section 5, RFC 3412 section 5)."""

from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.oid import encode_oid, oid_text

UNSUPPORTED_LEVEL = "unsupportedSecLevels"
NOT_IN_TIME = "notInTimeWindows"
UNKNOWN_USER = "unknownUserNames"
UNKNOWN_ENGINE = "unknownEngineIDs"
WRONG_DIGEST = "wrongDigests"
DECRYPTION = "decryptionErrors"
UNKNOWN_CONTEXT = "unknownContexts"

COUNTERS = {
    UNSUPPORTED_LEVEL: encode_oid("1.3.6.1.6.3.15.1.1.1.0"),
    NOT_IN_TIME: encode_oid("1.3.6.1.6.3.15.1.1.2.0"),
    UNKNOWN_USER: encode_oid("1.3.6.1.6.3.15.1.1.3.0"),
    UNKNOWN_ENGINE: encode_oid("1.3.6.1.6.3.15.1.1.4.0"),
    WRONG_DIGEST: encode_oid("1.3.6.1.6.3.15.1.1.5.0"),
    DECRYPTION: encode_oid("1.3.6.1.6.3.15.1.1.6.0"),
    UNKNOWN_CONTEXT: encode_oid("1.3.6.1.6.3.12.1.5.0"),
}
_NAMES = {oid: name for name, oid in COUNTERS.items()}


def report_name(varbinds: list[Varbind]) -> str:
    """What a Report is about; the OID when it is none of ours, ``an empty report`` without any."""
    if not varbinds:
        return "an empty report"
    oid = varbinds[0][0]
    return _NAMES.get(oid) or oid_text(oid)
